"""Which of this institution's people another node of a run has enrolled too: asked before any training.

Of two nodes the earlier one (`afml.consortium.overlap.order`) answers and keeps the person, the later one asks and
leaves the person out. Nobody answers before all nodes of the run have sent what they offer or ask; what leaves is in
the ledger first. A node that was started again sends the same bytes: its keys are in the work folder until it has
finished, and go then (docs/design/overlap.md).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from afml.consortium.limits import MAX_LETTER
from afml.consortium.nodekit import NodeKit
from afml.consortium.overlap import ASK, BANDS, OWN, SHARED, answer_to, order, size_of
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.errors import ConfigError, IntegrityError, TransportError
from afml.core.files import read_secret, write_bytes, write_secret
from afml.core.progress import Event, Tell, untold
from afml.genomics.fingerprints import fingerprints
from afml.ledger.overlaps import Asked, OverlapQuery
from afml.ledger.store import Ledger
from crypto.secret.intersection import Blinded, BlindKey, Inputs, blinded, hashed, in_common
from node.client import Client
from node.guard import enter_policy, open_ledger
from node.inuse import in_use
from node.mailbox import Mailbox
from node.memory import keep_in_kit
from node.patience import Patience
from node.policy import load as load_policy
from node.reach import preflight, reason
from node.take_part import Part, declared_card
from node.workspace import Workspace

_KEYS, _COME = "keys", "come"
WITHOUT, REPORT = "without.txt", "overlap.json"
OUTSIDE = "what this tells stands outside epsilon: no budget bounds it"


@dataclass(frozen=True)
class Overlap:
    """What a query came to, for the institution itself.

    Attributes:
        run: Name of the run.
        people: How many of its people it was about.
        shared: Earlier node -> how many of these it has enrolled too.
        names: Of all of them together: whom this institution is to leave out.
        answered: Later nodes that asked about its people.
        without: The names in a file, for `afml prepare --without`.
    """

    run: str
    people: int
    shared: dict[int, int]
    names: tuple[str, ...]
    answered: tuple[int, ...]
    without: Path


def queries(work: Workspace) -> Path:
    """Where what queries told is kept, a folder for each run."""
    return work.root / "overlap"


def find_overlap(kit: NodeKit, part: Part, *, tell: Tell = untold) -> Overlap:
    """Take part in the query of a run; one that is finished is told again.

    Args:
        kit: This node's start kit.
        part: Files and address.
        tell: Told what is happening.

    Raises:
        PolicyError: This site does not allow it.
        ConfigError: The run is not made from this work folder's card, or not about genotypes.
        TransportError: Not all nodes took part in time; it can be taken up again.
        IntegrityError: Somebody sent what the protocol forbids.
    """
    run, work = load_run(part.run_file, kit.history), Workspace(part.work)
    with in_use(work):
        place = queries(work) / run.run
        if (place / REPORT).is_file():
            return _told(run, place)
        policy = load_policy(part.kit)
        policy.require_overlap()
        kit = kit.under(run)
        declared_card(work, run, kit.node, part.run_file)
        work.require_drawn_for(run)
        _require_possible(run, part.run_file)
        prepared = work.prepared(run.people)
        rows = prepared.enrolled
        names = prepared.people.rows(rows).samples
        tell(Event("waiting", text=f"hashing {len(names)} people's fingerprints"))
        keys = _Keys.kept(place)
        inputs = hashed(fingerprints(prepared.folder, rows), BANDS, run.digest(), keys.filler)
        if len(inputs.points) != size_of(run.enrolled[kit.node]):
            problem = f"holds {len(names)} people, the run declares {run.enrolled[kit.node]}"
            raise ConfigError(problem, where=work.people, cure="run `afml prepare` again")
        patience = Patience(part.address, part.wait_s, tell, reason=partial(reason, part.address, kit), stop=part.stop)
        client = Client(part.address, kit, run, patience)
        try:
            with open_ledger(work, kit, part.ledger) as ledger:
                enter_policy(ledger, policy)
                preflight(part.address, kit, patience)
                query = _Query(kit, run, Mailbox(client, kit, run), keys, tell)
                shared = query.run(ledger, inputs, names, place / _COME, part)
        finally:
            client.close()
        return _finished(run, place, names, shared, query.later)


class _Keys:
    """The secrets of one query, kept until it has ended."""

    def __init__(self, stored: bytes) -> None:
        self.asking, self.answering, self.filler = BlindKey(stored[:32]), BlindKey(stored[32:64]), stored[64:]

    @classmethod
    def kept(cls, place: Path) -> _Keys:
        path = place / _KEYS
        if not path.exists():
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_secret(path, os.urandom(96))
        return cls(read_secret(path))


class _Query:
    """One node in the query of one run."""

    def __init__(self, kit: NodeKit, run: RunConfig, mailbox: Mailbox, keys: _Keys, tell: Tell) -> None:
        self._kit, self._run, self._mailbox, self._keys, self._tell = kit, run, mailbox, keys, tell
        nodes = order(run)
        place = nodes.index(kit.node)
        self.earlier, self.later = tuple(sorted(nodes[:place])), tuple(sorted(nodes[place + 1 :]))

    def run(
        self, ledger: Ledger, inputs: Inputs, names: Sequence[str], folder: Path, part: Part
    ) -> dict[int, list[int]]:
        """The exchange; earlier node -> places among `names` of the people whom it has enrolled too."""
        asked, digest = Blinded(b"", []), self._run.digest().hex()
        own = blinded(self._keys.answering, inputs).points if self.later else b""
        if self.earlier:
            asked = blinded(self._keys.asking, inputs)
        ledger.overlaps.begin(OverlapQuery(self._run.run, digest, own, asked.points, self.earlier, self.later), names)
        keep_in_kit(self._kit, ledger)
        self._mailbox.send_open(dict.fromkeys(self.later, b""), OWN, own)
        self._mailbox.send_open(dict.fromkeys(self.earlier, b""), ASK, asked.points)
        self._collect(folder, part.wait_s)
        for node in self.later:
            self._answer(ledger, node, (folder / str(node)).read_bytes(), part)
        shared = {}
        for node in self.earlier:
            self._tell(Event("waiting", text=f"comparing with node {node}"))
            theirs = self._keys.asking.times((folder / str(node)).read_bytes(), where=f"offer of node {node}")
            answers = self._letter(node, answer_to(self._kit.node), part.wait_s)
            common = in_common(answers, theirs, asked.places)
            shared[node] = [place for place, count in enumerate(common) if count >= SHARED]
        return shared

    def _collect(self, folder: Path, wait_s: float) -> None:
        """What every other node offers or asks, on disk: nothing is answered before all of it is there."""
        folder.mkdir(exist_ok=True, mode=0o700)
        for node in (*self.earlier, *self.later):
            if not (folder / str(node)).exists():
                self._tell(Event("waiting", text=f"for node {node} to offer or ask"))
                write_bytes(folder / str(node), self._letter(node, OWN if node in self.earlier else ASK, wait_s))

    def _answer(self, ledger: Ledger, node: int, points: bytes, part: Part) -> None:
        """Multiply a query by this node's key, once it is written down and still allowed."""
        policy = load_policy(part.kit)
        policy.require_overlap()
        enter_policy(ledger, policy)
        run, origin = self._run, self._kit.roster.member(node).origin
        asked = Asked(run.run, run.digest().hex(), node, origin, run.enrolled[node], points)
        ledger.overlaps.answer(asked, policy.overlap.people)
        keep_in_kit(self._kit, ledger)
        self._tell(Event("waiting", text=f"answering node {node} about {run.enrolled[node]} people of its own"))
        answers = self._keys.answering.times(points, where=f"query of node {node}")
        self._mailbox.send_open({node: b""}, answer_to(node), answers)

    def _letter(self, node: int, subject: str, wait_s: float) -> bytes:
        """The points of one letter.

        Raises:
            TransportError: It did not come in time.
            IntegrityError: It is not as long as the run's people make it.
        """
        come = self._mailbox.receive_open([node], subject, wait_s=wait_s)
        if node not in come:
            raise TransportError(
                f"node {node} has sent nothing: it has not begun, or its site does not allow it",
                where=f"query for shared people of run {self._run.run}",
                cure="run `afml overlap` again once it takes part; nothing is lost",
            )
        points = come[node].common
        about = self._kit.node if subject == answer_to(self._kit.node) else node
        if len(points) != size_of(self._run.enrolled[about]):
            raise IntegrityError("is not as long as the run's people make it", where=f"letter {subject} of node {node}")
        return points


def _require_possible(run: RunConfig, where: Path) -> None:
    if run.data.kind != "genotypes":
        raise ConfigError(
            f"is about data of the kind {run.data.kind}; people are told again by their genotypes alone",
            where=where,
            cure="declare at how many institutions a person may be enrolled (`afml configure --max-enrolments`)",
        )
    if len(run.nodes) < 2:
        raise ConfigError("has one node: nobody to ask", where=where, cure="leave the query out")
    most = MAX_LETTER // size_of(1)
    if large := [node for node, people in sorted(run.enrolled.items()) if people > most]:
        raise ConfigError(
            f"enrols {run.enrolled[large[0]]} people at node {large[0]}, a query takes {most} of a node at most",
            where=where,
            cure="declare at how many institutions a person may be enrolled (`afml configure --max-enrolments`)",
        )


def _finished(
    run: RunConfig, place: Path, names: Sequence[str], shared: dict[int, list[int]], answered: tuple[int, ...]
) -> Overlap:
    """Write down who is to be left out; then what could test anybody's genome goes."""
    found = tuple(names[place] for place in sorted(set().union(*shared.values())))
    counts = {node: len(places) for node, places in sorted(shared.items())}
    write_secret(place / WITHOUT, "".join(f"{name}\n" for name in found).encode())
    report = {
        "run": run.run,
        "config_digest": run.digest().hex(),
        "people": len(names),
        "shared": counts,
        "left_out": len(found),
        "answered": list(answered),
        "note": OUTSIDE,
    }
    write_secret(place / REPORT, json.dumps(report, indent=2).encode() + b"\n")
    _forget(place)
    return Overlap(run.run, len(names), counts, found, answered, place / WITHOUT)


def _told(run: RunConfig, place: Path) -> Overlap:
    """What a query came to that has ended.

    Raises:
        ConfigError: It was of another run of this name.
    """
    report = json.loads(read_secret(place / REPORT))
    if report["config_digest"] != run.digest().hex():
        raise ConfigError(f"is of another run {run.run}", where=place, cure="give every run a name of its own")
    _forget(place)
    names = tuple(read_secret(place / WITHOUT).decode().splitlines())
    shared = {int(node): count for node, count in report["shared"].items()}
    return Overlap(run.run, report["people"], shared, names, tuple(report["answered"]), place / WITHOUT)


def _forget(place: Path) -> None:
    (place / _KEYS).unlink(missing_ok=True)
    shutil.rmtree(place / _COME, ignore_errors=True)
