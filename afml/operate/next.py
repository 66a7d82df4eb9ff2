"""What comes next for a party, and who does it: read from its folders, which are only looked at.

The steps of each role stand in one table, in order. A step is done when what it makes is there; the first that is not
is what comes next. Whether a run goes on well is `afml status`, what keeps a party out is `afml doctor`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from afml.consortium.kit import ROSTER
from afml.consortium.request import REQUEST, read_request
from afml.core.errors import InputError
from afml.masking.chosen import NAME
from afml.operate.place import (
    Place,
    approved,
    carded,
    evaluated,
    hindrance,
    institutions,
    named,
    nobody_left,
    not_refused,
    nothing,
    published,
    refused,
    released,
    remembered,
    trained,
    unhindered,
)
from node.policy import FILE as POLICY
from node.quorum import PAIR

Role: TypeAlias = Literal["node", "aggregator", "coordinator"]


@dataclass(frozen=True)
class Next:
    """One step that is not done.

    Attributes:
        who: Does it: "you", or another party.
        what: In one line.
        command: To type, with words in capitals for what is to be filled in; "" where somebody else does it.
    """

    who: str
    what: str
    command: str = ""


_Done: TypeAlias = Callable[[Place], bool]
_Step: TypeAlias = tuple[_Done, Next]


_KEYS = Next("you", "make your keys", "afml keys init --out {kit} --role {role}")
_ANSWER = Next(
    "the coordinator",
    "answers {kit}/request.json, which you send, with a folder; put it in, and compare fingerprints by telephone",
    "afml keys install FOLDER --kit {kit}",
)
_SEND = Next("you", "send the folder {package} to whoever is to have it")
_RELEASE: _Step = (
    released,
    Next("you", "write the de-identified file", "afml mask --kit {kit} --work {work} --run {run}{there}"),
)
_LOOK: _Step = (
    nothing,
    Next(
        "you",
        "look at the model; `afml predict` tells what it says of your people, `afml audit verify` what it has cost",
        "afml model show {model}",
    ),
)
"""What comes after a run whose model makes no release."""
_STEPS: dict[Role, tuple[_Step, ...]] = {
    "node": (
        (
            lambda place: named(place, REQUEST),
            Next("you", "make your keys", 'afml keys init --out {kit} --name "NAME"'),
        ),
        (lambda place: named(place, ROSTER), _ANSWER),
        (
            lambda place: named(place, POLICY),
            Next(
                "you",
                "say what your people may spend, and whose noise counts: of everybody on the roster, or of those alone "
                "whom --trust NODE names",
                "afml policy init --kit {kit} --lifetime 0.9 --trust-roster",
            ),
        ),
        (
            carded,
            Next(
                "you",
                "check and store your data; read the page about their quality that it writes",
                "afml prepare --kit {kit} --vcf FILE --panel-vcf FILE --phenotypes FILE --work {work}",
            ),
        ),
        (
            remembered,
            Next(
                "you",
                "put a backup of the ledger back: runs or the kit remember one, none is in {ledger} (--ledger names "
                "another folder); ask the others for `afml ledger heads`",
                "afml ledger restore BACKUP --ledger {ledger} --kit {kit} --head HEADS",
            ),
        ),
        (
            lambda place: place.run is not None,
            Next("the coordinator", "makes run.json and run.sig of all cards: send it {work}/card.json"),
        ),
        (unhindered, Next("you", "{hindrance}", "afml run show {run} --kit {kit} --work {work}{there}")),
        (
            approved,
            Next(
                "you",
                "read what the run would spend (`afml run show`), and approve it",
                "afml run approve {run} --kit {kit} --work {work}{there}",
            ),
        ),
        (
            trained,
            Next("you", "take part", "afml node --kit {kit} --work {work} --run {run} --aggregator HOST:PORT{there}"),
        ),
        (
            not_refused,
            Next(
                "you",
                "decide: the last `afml mask` refused ({refusal}). The model can be used as it is, another run planned",
                "afml model show {model}",
            ),
        ),
        _RELEASE,
        (
            nobody_left,
            Next(
                "you",
                "keep the newest file: people in it have withdrawn since. Run `afml prepare --without FILE`, then "
                "write the next one, which does not tell who left",
                "afml mask --kit {kit} --work {work} --run {run} --nested{there}",
            ),
        ),
        (
            evaluated,
            Next(
                "you",
                "attack your own file before it leaves the house",
                "afml evaluate --own {work} --run {run} --out REPORT{there}",
            ),
        ),
        (
            published,
            Next(
                "you",
                "read REPORT/report.html, and say that the package may leave the house",
                "afml release publish --kit {kit} --work {work} --run {run}{there}",
            ),
        ),
        (nothing, _SEND),
    ),
    "aggregator": (
        (lambda place: named(place, REQUEST), _KEYS),
        (lambda place: named(place, ROSTER), _ANSWER),
        (
            lambda place: place.run is not None,
            Next(
                "you", "serve every run that is submitted",
                "afml aggregator --kit {kit} --data STATE --listen 0.0.0.0:7443",
            ),
        ),
        (
            nothing,
            Next("you", "serve the run", "afml aggregator --kit {kit} --run {run} --data STATE --listen 0.0.0.0:7443"),
        ),
    ),
    "coordinator": (
        (lambda place: named(place, REQUEST), _KEYS),
        (
            lambda place: named(place, ROSTER),
            Next(
                "you",
                "found the consortium of everybody's request.json, and send each party its folder of ANSWERS",
                "afml consortium found REQUEST... --kit {kit} --consortium NAME --out ANSWERS",
            ),
        ),
        (
            lambda place: place.run is not None,
            Next(
                "you",
                "plan and sign a run of everybody's card.json: --ple is its cost, --budget that of all runs together",
                "afml configure CARD... --kit {kit} --ple 0.4 --budget 0.9 --out run.json{noise}",
            ),
        ),
        (nothing, Next("you", "send {run} and the run.sig beside it to every institution and the aggregator")),
    ),
}  # fmt: skip


def role_of(kit: Path) -> Role | None:
    """Whose kit it is; None where there is none yet.

    Raises:
        InputError: It holds no request that could be read.
    """
    path = kit / REQUEST
    if not path.exists():
        if kit.exists() and any(kit.iterdir()):
            cure = "make one with `afml keys init`, in a folder that is not there yet"
            raise InputError("is not a kit: it holds no request.json", where=kit, cure=cure)
        return None
    return read_request(path).role


def next_of(place: Place, role: Role | None = None) -> Next:
    """The first step of this party that is not done.

    Args:
        place: Its folders.
        role: Where there is no kit yet, whose it will be.

    Raises:
        InputError: A file of it is damaged.
    """
    role = role_of(place.kit) or role or "node"
    words = {"kit": place.kit, "role": role, "work": place.work or "WORK", "run": place.run or "RUN.JSON"}
    steps, space = _STEPS[role], place.space
    words["ledger"] = place.ledger or (space.ledger if space else "LEDGER")
    config = place.config if role == "node" else None
    if config is not None and config.task.kind != NAME:
        steps = (*steps[: steps.index(_RELEASE)], _LOOK)
    for done, following in steps:
        if not done(place):
            if config is not None and space is not None:
                words["model"] = space.model(config.run)
                words["refusal"] = refused(place)
                words["hindrance"] = hindrance(place)
                if following is _SEND:
                    words["package"] = space.release(config.run)
            typed = {name: shlex.quote(str(word)) for name, word in words.items()}
            typed["there"] = f" --ledger {typed['ledger']}" if place.ledger else ""
            typed["noise"] = " --noise local" if institutions(place) == PAIR else ""  # with two it is all there is
            return Next(following.who, following.what.format(**words), following.command.format(**typed))
    raise AssertionError("the last step is never done")
