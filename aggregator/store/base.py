"""What an aggregator remembers across restarts, and what every store of it offers.

A store holds one run: where its state machine stands, who is in it, what each attempt and each round has, and the
letters between nodes. docs/DATA_MODEL.md draws the state machine. Methods that add are idempotent: the first entry
stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from afml.consortium.attempt import Attempt
from afml.consortium.makers import Maker
from afml.consortium.reasons import Cause
from afml.consortium.stage import Stage
from afml.core.errors import AfmlError


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Position:
    """Where the state machine stands; at round 0 while nodes enrol.

    Attributes:
        stage, attempt: Where.
        reason: Why it came here: canonical JSON of an `afml.consortium.reasons.Cause`, "" for none.
        since_ms: When, in Unix milliseconds by the aggregator's clock.
    """

    stage: Stage
    attempt: Attempt
    reason: str = ""
    since_ms: int = field(default=0, compare=False)

    @property
    def cause(self) -> Cause | None:
        """Why it came here, where there is more to say than the stage does."""
        return Cause.model_validate_json(self.reason) if self.reason else None

    def is_at(self, stage: Stage, attempt: Attempt) -> bool:
        """Whether this is `stage` of `attempt`."""
        return (self.stage, self.attempt) == (stage, attempt)


@dataclass(frozen=True)
class Member:
    """A node that enrolled: its serialised enrolment, and why it left, if it did (a `Reason`)."""

    enrolment: bytes
    left: str | None = None


@dataclass(frozen=True)
class Upload:
    """A complete upload: its size in chunks, parameters and bytes on the wire, and its ledger receipt (JSON)."""

    node: int
    chunks: int
    parameters: int
    bytes: int
    receipt: str


@dataclass(frozen=True)
class Published:
    """An encrypted sum that is on disk: the attempt that it is of, its size in chunks and parameters."""

    attempt: Attempt
    chunks: int
    parameters: int


@dataclass(frozen=True)
class Letter:
    """A letter of one node to others: its serialised header, and the file below the run's folder of its common part."""

    sender: int
    subject: str
    header: bytes
    path: Path | None = None


class Members(Protocol):
    """The nodes that enrolled."""

    def all(self) -> dict[int, Member]:
        """node -> member, ascending by node."""

    def add(self, node: int, enrolment: bytes) -> None:
        """Record an enrolment."""

    def mark_left(self, node: int, reason: str) -> None:
        """Record that a node left the run; the first reason stands."""


class Attempts(Protocol):
    """What each attempt has: tokens, from them a cohort, from the cohort uploads."""

    def tokens(self, attempt: Attempt) -> dict[int, bytes]:
        """node -> serialised Ready token, ascending by node."""

    def add_token(self, attempt: Attempt, node: int, token: bytes) -> None:
        """Record a Ready token."""

    def cohort(self, attempt: Attempt) -> dict[int, bytes]:
        """node -> serialised Ready token of the fixed cohort, ascending by node; empty before it is fixed."""

    def fix_cohort(self, attempt: Attempt) -> None:
        """All nodes with a token become the cohort."""

    def uploads(self, attempt: Attempt) -> dict[int, Upload]:
        """node -> complete upload, ascending by node."""

    def add_upload(self, attempt: Attempt, upload: Upload) -> None:
        """Record a complete upload."""

    def forget_upload(self, attempt: Attempt, node: int) -> None:
        """The bytes of an upload are lost: it is as if it had not come."""

    def all_uploads(self) -> list[tuple[Attempt, Upload]]:
        """Every complete upload of the run, by attempt and node."""


class Rounds(Protocol):
    """What each round has: its published sum and the digests of the models after it."""

    def publish(self, sum_of: Published) -> None:
        """Record that the sum of a round is on disk.

        Raises:
            Exception: The round is published already.
        """

    def published(self, round_number: int) -> Published | None:
        """The sum of a round, once it may be fetched."""

    def last_published(self) -> int:
        """The last round whose sum may be fetched; 0 for none."""

    def digests(self, round_number: int) -> dict[int, bytes]:
        """node -> keyed model digest after a round."""

    def add_digest(self, round_number: int, node: int, digest: bytes) -> None:
        """Record a digest."""


class Letters(Protocol):
    """Letters on their way."""

    def find(self, sender: int, subject: str) -> Letter | None:
        """The letter, if it is there."""

    def senders(self, subject: str) -> set[int]:
        """Nodes whose letter under a subject is there."""

    def sent_by(self, sender: int) -> int:
        """How many letters of a node are kept."""

    def paths(self) -> dict[Path, str]:
        """Files of letters, below the run's folder -> their subjects."""

    def add(self, letter: Letter) -> None:
        """Record a letter."""

    def bare(self, path: Path) -> None:
        """Forget the file of a letter: its header stays."""


class Orders(Protocol):
    """Orders that were followed."""

    def add(self, number: int, said: bytes) -> None:
        """Record an order, serialised, under its number."""

    def all(self) -> dict[int, bytes]:
        """number -> order, ascending."""


class Makers(Protocol):
    """Who makes what all nodes need."""

    def all(self) -> dict[str, Maker]:
        """subject -> who makes it, by subject."""

    def put(self, subject: str, maker: Maker) -> None:
        """Record who makes something, in place of whoever did before."""


class Files(Protocol):
    """Copies of a run's files, for a process on another machine that takes the run over. A file only grows."""

    @property
    def aside(self) -> Files:
        """The same for a thread of its own, while decisions are made: what the store has lost, it refuses too.

        Not for a file that a decision is about to write into: its copy would stand without it.
        """

    def keep(self, name: str, path: Path) -> None:
        """Keep what the file has more than its copy."""

    def bring(self, name: str, path: Path) -> None:
        """Put a file there out of its copy, where none is there and a copy is."""

    def drop(self, unwanted: Callable[[str], bool]) -> None:
        """Remove the copies of files of these names."""


class InPlace:
    """No copies: the files stay where they are, beside a store that nobody else can open."""

    @property
    def aside(self) -> Files:
        """Nothing is done there either."""
        return self

    def keep(self, name: str, path: Path) -> None:
        """They are kept."""

    def bring(self, name: str, path: Path) -> None:
        """They are there."""

    def drop(self, unwanted: Callable[[str], bool]) -> None:
        """There are none."""


class Taken(AfmlError):
    """Another process has the run open."""

    exit_code = 4


class Lost(OSError):
    """The store does not answer this process any more, for good; another one may go on with the run by now."""


class Store(Protocol):
    """One run's durable state, of one process at a time. Outside a transaction a call is durable when it returns.

    Every call that cannot be kept, or a transaction that cannot end, for want of space or a failing disk raises
    OSError: nothing of it is durable, and it may be tried again.
    """

    @property
    def members(self) -> Members:
        """The nodes that enrolled."""

    @property
    def attempts(self) -> Attempts:
        """Tokens, cohorts and uploads."""

    @property
    def rounds(self) -> Rounds:
        """Published sums and model digests."""

    @property
    def letters(self) -> Letters:
        """Letters on their way."""

    @property
    def orders(self) -> Orders:
        """Orders that were followed."""

    @property
    def makers(self) -> Makers:
        """Who makes what all nodes need."""

    @property
    def files(self) -> Files:
        """Copies of the run's files."""

    @property
    def term(self) -> int:
        """How often the store was opened; 0 where only who has the run's files can open it."""

    def position(self) -> Position:
        """Where the state machine stands."""

    def move(self, to: Position) -> None:
        """Put the state machine there."""

    def transaction(self) -> AbstractContextManager[None]:
        """All that the block writes becomes durable when it ends well; nothing of it, however it fails.

        Transactions nest: an inner one that fails is undone alone, and nothing is durable before the outermost ends.
        """

    def close(self) -> None:
        """Let go of files and connections."""
