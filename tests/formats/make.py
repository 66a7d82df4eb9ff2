"""Makes `stored/`: signed files of every kind, as this version of AFML writes them: `python -m tests.formats.make`.

Run it when a format gets a new number, and keep what was there for as long as it is to be read.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from afml.consortium import messages, ownkeys, proposal
from afml.consortium.card import DataAgreement, NodeCard
from afml.consortium.history import load_roster
from afml.consortium.nodekit import load_node_kit
from afml.consortium.orders import Order, What
from afml.consortium.ownkeys import Party
from afml.consortium.proposal import Changes
from afml.consortium.provision import load_coordinator_key
from afml.consortium.request import REQUEST
from afml.consortium.runfile import write_run
from afml.trial.kits import make_kits
from crypto.public.signing import sign
from tests.ledger.helpers import config

STORED = Path(__file__).with_name("stored")
PUBLIC = ("roster.json", "roster.sig", "history.jsonl", "certificates.json", "request.json")


def make(out: Path) -> None:
    """Everything that is signed and handed from party to party before a run; no key."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        kits = root / "kits"
        make_kits(kits, "stored", ["Uppsala", "Oslo", "Turku"])
        own, coordinator = load_node_kit(kits / "node-1"), load_coordinator_key(kits / "coordinator")
        out.mkdir()
        (out / "first").mkdir()
        for name in ("roster.json", "roster.sig"):
            shutil.copy(kits / "node-1" / name, out / "first")
        run = config("stored").model_copy(
            update={"consortium": "stored", "roster": load_roster(kits / "node-1").digest().hex()}
        )
        write_run(out / "run.json", run, coordinator)
        order = Order.signed_by(coordinator, "coordinator", run, What.EXTEND, number=1_700_000_000_000, seconds=60.0)
        (out / "order.json").write_text(order.model_dump_json())
        data = DataAgreement(kind="table", fingerprint="0" * 64, features=3)
        card = NodeCard(node=1, data=data, enrolled=12)
        signature = sign(own.signing_key, messages.node_card(card.unsigned())).hex()
        (out / "card.json").write_text(card.model_copy(update={"signature": signature}).model_dump_json())
        ownkeys.make(kits / "late", Party("node", "Tartu"))
        proposal.propose(Changes(requests=[kits / "late" / REQUEST]), kits / "coordinator", root / "proposal")
        words = []
        for node in (1, 2):
            words.append(root / f"{node}.json")
            words[-1].write_bytes(proposal.countersign(root / "proposal", kits / f"node-{node}").canonical())
        proposal.publish(root / "proposal", words, kits / "coordinator", root / "second", 30)
        shutil.copy(words[0], out / "countersignature.json")
        for name in PUBLIC[:-1]:
            shutil.copy(root / "second" / "node-1" / name, out)
        shutil.copy(kits / "node-1" / REQUEST, out)


if __name__ == "__main__":
    make(STORED)
