"""What is looked at: the folder of `afml status`, and beside it kit, ledger, signed runs, transcripts and reports.

Everything is read anew, and at most as often as costs a fifth of a processor: composing what people have spent takes
seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from afml.console.history import Round, Transcript, from_ledger
from afml.consortium.card import NodeCard
from afml.consortium.history import load_history
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.errors import AfmlError, ConfigError, InputError
from afml.ledger.summary import Summary
from afml.operate.shown import AggregatorStatus, ManyStatus, NodeStatus, ServeStatus, Status
from afml.operate.status import status_of, summary_of
from aggregator.run import Folder, folders_of_runs
from node.signed import Signed, Standing
from node.workspace import Workspace

LOOK_S = 1.0
"""Seconds between two looks."""
_SHARE = 5
T = TypeVar("T")


class Fresh(Generic[T]):
    """A value that is made again once it is old; what making it took says when that is.

    Args:
        make: Makes it; what it raises is kept and raised likewise.
        clock: Seconds.
    """

    def __init__(self, make: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._clock, self._lock = make, clock, threading.Lock()
        self._until, self._found, self._error = -1.0, list[T](), list[AfmlError]()

    def get(self) -> T:
        """The value.

        Raises:
            AfmlError: It could not be made.
        """
        with self._lock:
            began = self._clock()
            if began >= self._until:
                self._found, self._error = [], []
                try:
                    self._found.append(self._make())
                except AfmlError as error:
                    self._error.append(error)
                ended = self._clock()
                self._until = ended + max(LOOK_S, (_SHARE - 1) * (ended - began))
            for kept in self._error:
                raise kept
            return self._found[0]

    def forget(self) -> None:
        """It is old now."""
        with self._lock:
            self._until = -1.0


@dataclass(frozen=True)
class Named:
    """What `afml console` is given.

    Attributes:
        folder: As of `afml status`.
        kit: The party's.
        ledger: Of the institution, where it is not in the work folder.
        runs: Signed run files that may be approved, or folders of them.
        transcripts: Of aggregators, to hold the ledger against.
        reports: report.json files of `afml evaluate`.
    """

    folder: Path
    kit: Path | None = None
    ledger: Path | None = None
    runs: tuple[Path, ...] = ()
    transcripts: tuple[Path, ...] = ()
    reports: tuple[Path, ...] = ()


@dataclass(frozen=True)
class OnOffer:
    """A signed run that somebody here may approve.

    Attributes:
        path: Its file.
        config: The run, once the coordinator's signature was checked; None where the file is refused.
        problem: Why it is refused, in one line; "" where it is not.
        state: "approved", "waits for a person", "refused by this site's policy", or why it is closed here.
    """

    path: Path
    config: RunConfig | None
    problem: str = ""
    state: str = ""

    @property
    def digest(self) -> str:
        """Of the configuration, hex."""
        return self.config.digest().hex() if self.config else ""


@dataclass
class View:
    """One party's things, each read where it lies.

    Attributes:
        named: Where.
    """

    named: Named
    _status: Fresh[Status] = field(init=False)
    _transcripts: dict[Path, Transcript] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._status = Fresh(lambda: status_of(self.named.folder, kit=self.named.kit, ledger=self.named.ledger))

    def status(self) -> Status:
        """As of `afml status`.

        Raises:
            InputError, IntegrityError: As there.
        """
        return self._status.get()

    @property
    def serves(self) -> bool:
        """Whether this is an aggregator: it has rounds and a certificate, and no people."""
        return isinstance(self.status(), AggregatorStatus | ManyStatus)

    def aggregators(self) -> tuple[AggregatorStatus, ...]:
        """Runs that are served here."""
        found = self.status()
        return (found,) if isinstance(found, AggregatorStatus) else found.runs if isinstance(found, ManyStatus) else ()

    def nodes(self) -> tuple[NodeStatus, ...]:
        """Work folders of this institution."""
        found = self.status()
        return (found,) if isinstance(found, NodeStatus) else found.works if isinstance(found, ServeStatus) else ()

    def works(self) -> tuple[Workspace, ...]:
        """The same, as folders."""
        found = self.status()
        if isinstance(found, ServeStatus):
            return tuple(Workspace(Path(work)) for work in found.standing.works)
        return (Workspace(self.named.folder),) if isinstance(found, NodeStatus) else ()

    def ledger(self) -> Path | None:
        """The institution's; None at an aggregator, or where there is no work folder."""
        found = self.status()
        if self.named.ledger is not None:
            return self.named.ledger
        if isinstance(found, ServeStatus) and found.standing.ledger:
            return Path(found.standing.ledger)
        return next((work.ledger for work in self.works()), None)

    def summary(self) -> Summary | None:
        """Of the ledger; None where none was begun."""
        self.status()  # what it has just composed is not composed again
        ledger = self.ledger()
        return summary_of(ledger) if ledger is not None else None

    def rounds(self, run: str) -> Sequence[Round]:
        """The rounds of a run that are over.

        Raises:
            InputError: This folder knows of no such run.
        """
        for one in self.aggregators():
            if one.standing.run == run:
                path = Folder(self._folder_of(run)).transcript
                return self._transcripts.setdefault(path, Transcript(path)).rounds()
        if any(part.run == run for node in self.nodes() for part in node.parts):
            summary = self.summary()
            return from_ledger(summary, run) if summary is not None else ()
        raise InputError("is not known here", where=f"run {run}")

    def _folder_of(self, run: str) -> Path:
        if isinstance(self.status(), AggregatorStatus):
            return self.named.folder
        return next(one for one in folders_of_runs(self.named.folder) if one.name == run)

    def on_offer(self) -> tuple[OnOffer, ...]:
        """Signed runs that lie here, those that wait for a person first."""
        if self.named.kit is None or self.serves:
            return ()
        found = {one.digest or str(one.path): one for one in map(self._offered, self._run_files())}
        return tuple(sorted(found.values(), key=lambda one: (one.state != WAITS, one.path)))

    def _run_files(self) -> Iterator[Path]:
        for path in self.named.runs:
            signed = (one for one in sorted(path.glob("*.json")) if one.with_suffix(".sig").exists())
            yield from signed if path.is_dir() else (path,)
        if isinstance(self.status(), ServeStatus):
            yield from sorted(self.named.folder.glob("offered/*/run.json"))

    def _offered(self, path: Path) -> OnOffer:
        assert self.named.kit is not None
        try:
            config = load_run(path, load_history(self.named.kit))
        except AfmlError as error:
            return OnOffer(path, None, str(error))
        digest, state = config.digest().hex(), WAITS
        summary = self.summary()
        for body in summary.bodies if summary is not None else ():
            if body["kind"] in ("approval", "closing") and body.get("config_digest") == digest:
                state = "approved" if body["kind"] == "approval" else f"closed here ({body['reason']})"
        problem = self._refusal(path) if state == WAITS else ""
        return OnOffer(path, config, problem, REFUSED if problem else state)

    def _refusal(self, path: Path) -> str:
        """The first reason for which this site's policy refuses a signed run; "" where it does not."""
        assert self.named.kit is not None
        try:
            signed = Signed.read(path, self.named.kit)
            found = signed.policy.refusals(signed.config, signed.kit.roster, signed.kit.node)
            return next(map(str, found), "")
        except AfmlError as error:
            return str(error)

    def signed(self, digest: str) -> tuple[Signed, Path]:
        """A run on offer by its digest, and the work folder that holds its data.

        Raises:
            InputError: There is none.
            ConfigError: No work folder holds its data.
            AfmlError: As `Signed.read`.
        """
        one = next((one for one in self.on_offer() if digest and one.digest == digest), None)
        if one is None or self.named.kit is None:
            problem = "no signed run of this digest lies here"
            raise InputError(problem, where="--run", cure="go back to the list: its file may have been replaced")
        signed, works = Signed.read(one.path, self.named.kit), self.works()
        if signed.config.digest().hex() != digest:
            raise InputError("was replaced just now", where=one.path, cure="go back to the list and read it again")
        if len(works) == 1:
            return signed, works[0].root
        for work in works:
            if NodeCard.load(work.card).data == signed.config.data:
                return signed, work.root
        cure = "approve it by `afml run approve --work`, or declare the folder in serve.toml"
        raise ConfigError("no work folder holds its data", where=f"run {signed.config.run}", cure=cure)

    def approve(self, digest: str) -> Signed:
        """What `afml run approve` does.

        Raises:
            AfmlError: As `signed` and `node.signed.Signed.approve`; nothing was entered then.
        """
        signed, work = self.signed(digest)
        signed.approve(work, self._given_ledger())
        self._status.forget()
        return signed

    def looked_at(self, digest: str) -> tuple[Signed, Standing]:
        """A run on offer, and what `afml run show` finds of it; errors as there."""
        signed, work = self.signed(digest)
        return signed, signed.standing(work, self._given_ledger())

    def _given_ledger(self) -> Path | None:
        """As --ledger: None for that of the work folder, which may be begun."""
        ledger = self.ledger()
        return None if ledger in [work.ledger for work in self.works()] else ledger


WAITS, REFUSED = "waits for a person", "refused by this site's policy"
