"""A ledger that forgot is refused before anything is spent, says how to mend it, and goes on once it is mended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from afml.consortium.kit import load_roster
from afml.trial.processes import free_port
from tests.cli.zygote import Zygote
from tests.federation.parties import Consortium

NODES = (1, 2, 3)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("memory"), people=40)
    for name in ("first", "second", "third"):
        made.configure(name, seed=None, game=False)
    yield made
    made.stop()


def take_part(consortium: Consortium, name: str) -> list[int]:
    """Exit codes of everybody in a run."""
    port = free_port()
    server = consortium.start_aggregator(port, name)
    nodes = [consortium.start_node(n, port, name) for n in NODES]
    codes = [process.wait(300) for process in nodes]
    server.wait(60)
    return codes


def test_a_deleted_ledger_is_refused_before_any_spend_and_restored(consortium: Consortium, afml: Zygote) -> None:
    assert take_part(consortium, "first") == [0, 0, 0], consortium.log("node-3")
    ledger, work = consortium.work(3) / "ledger", consortium.work(3)
    saved = consortium.root / "saved"
    assert afml("ledger", "backup", ledger, "--out", saved).code == 0
    shutil.rmtree(ledger)

    # Its own work folder knows that there was one.
    refused = afml("node", "--kit", consortium.kit(3), "--work", work, "--run", consortium.run_file("second"),
                   "--aggregator", "127.0.0.1:1", "--wait", 0.1)  # fmt: skip
    assert "took part in 1 run (first), and no ledger of that is in" in refused.complaint()
    assert "afml ledger restore" in refused.complaint()
    assert not ledger.exists()

    # A work folder that knows nothing, either: its peers show it its own signature.
    memory = consortium.root / "memory"
    for name in ("runs", "models"):
        (work / name).rename(memory.with_name(f"memory-{name}"))
    port = free_port()
    consortium.start_aggregator(port, "second")
    third, *others = [consortium.start_node(n, port, "second") for n in (3, 1, 2)]
    assert third.wait(300) == 6, consortium.log("node-3")
    for other in others:  # they wait for it: an older copy of a folder ends no run
        other.terminate()
        other.wait(60)
    last = consortium.log("node-3").splitlines()[-1]
    assert "that it signed is kept elsewhere" in last or "is another history" in last, last
    assert "afml ledger restore" in last
    for node in NODES:
        assert consortium.spends(node, "second") == {}
        assert node == 3 or "ledger has" not in consortium.log(f"node-{node}")  # nobody is accused

    # Its peers hand out what it needs, and the next run goes on where the first ended.
    heads = []
    for node in (1, 2):
        out = consortium.root / f"heads-{node}"
        assert afml("ledger", "heads", consortium.work(node) / "ledger", "--out", out).code == 0
        own = [path for path in out.iterdir() if path.read_text().startswith(_origin(consortium, 3))]
        assert len(own) == 1
        heads += ["--head", own[0]]
    restored = afml("ledger", "restore", saved, "--ledger", ledger, "--kit", consortium.kit(3), *heads)
    assert restored.code == 0, restored.err
    assert take_part(consortium, "third") == [0, 0, 0], consortium.log("node-3")
    assert len(consortium.spends(3, "first")) == len(consortium.spends(3, "third")) == 3


def _origin(consortium: Consortium, node: int) -> str:
    return load_roster(consortium.kit(node)).member(node).origin


def test_a_work_folder_remembers_its_ledger(consortium: Consortium, tmp_path: Path) -> None:
    """After a run, the newest head lies beside the run's state: an older copy of the ledger does not hold it."""
    head = consortium.work(1) / "runs" / "third" / "ledger-head.txt"
    assert head.read_text().startswith(_origin(consortium, 1))
