"""What is shown of a folder, the fields of `afml status --json`: times in Unix seconds, `*_s` in seconds."""

from __future__ import annotations

from typing import Literal, TypeAlias

from afml.core.config import Settings
from aggregator.standing import RunStanding
from node.serving.standing import ServeStanding
from node.standing import PartStanding

State: TypeAlias = Literal["running", "starting", "silent", "stopped", "finished", "ended", "planned"]


class Space(Settings):
    """Bytes in a folder, and bytes free on its disk."""

    used: int
    free: int


class AggregatorStatus(Settings):
    """One run at its aggregator.

    Attributes:
        standing: What its process wrote last.
        state: Whether that process still writes: "running", "silent" (nothing was written for half a minute), or
            "stopped" in order.
        awaited: Nodes that the run waits for.
        waiting_s: Seconds since the stage began; None where no process runs.
        left_s: Seconds that the run takes from here, at the pace of the last rounds; None where that is not known, as
            long as a public part is to come for one (`standing.public`).
        certificate_days: Until the aggregator's certificate expires.
        space: Of its data folder.
    """

    role: Literal["aggregator"] = "aggregator"
    standing: RunStanding
    state: Literal["running", "silent", "stopped"]
    awaited: tuple[int, ...]
    waiting_s: float | None
    left_s: float | None
    certificate_days: float
    space: Space


class Plan(Settings):
    """What a site has set aside for a run, as its ledger says: "open" until a day, or why it is closed."""

    state: str
    until: str
    approved: bool


class PartStatus(Settings):
    """A node's part in one run.

    Attributes:
        run: Its name.
        state: "running"; "starting": its daemon has begun a process, which has said nothing yet; "silent": its process
            has written nothing for half a minute; "stopped": it can be started again; "finished": the model is there;
            "ended": for good, without a model; "planned": in the ledger alone.
        applied: Rounds whose sum the model holds.
        left_s: Seconds to the end of the public part, where this node makes it, at its pace so far; None else.
        why: Why it ended or stopped; "" else.
        standing: What its process wrote last; None where it has said nothing yet.
        plan: In the ledger; None where nothing was set aside.
    """

    run: str
    state: State
    applied: int
    left_s: float | None = None
    why: str
    standing: PartStanding | None
    plan: Plan | None


class BudgetStatus(Settings):
    """Of the person of this site who has least left, in sigma at `delta`: sigmas add as squares.

    Attributes:
        spent: Spent, and set aside by plans that are open.
        limit: The site's own, over all runs, as of their last spend.
        left: Of it, for further runs.
        delta: At which the site accounts.
    """

    spent: float
    limit: float
    left: float
    delta: float


class NodeStatus(Settings):
    """One work folder.

    Attributes:
        node: Its number.
        parts: In runs, in the order of their names.
        budget: None before anything was spent, or where everybody who has spent took part in a simulation.
        insecure: Somebody took part in a simulation, of whom no figure says anything.
        entries: Of the ledger.
        certificate_days: Until the node's certificate expires; None where no kit was named.
        space: Of the work folder.
    """

    role: Literal["node"] = "node"
    node: int
    parts: tuple[PartStatus, ...]
    budget: BudgetStatus | None
    insecure: bool
    entries: int
    certificate_days: float | None
    space: Space

    @property
    def running(self) -> tuple[PartStatus, ...]:
        """Parts that a process works on."""
        return tuple(part for part in self.parts if part.state in ("running", "starting"))


class ServeStatus(Settings):
    """A daemon of a node, `afml node serve`.

    Attributes:
        standing: What it wrote last: its runs that are not over, and those that are on offer and were not taken.
        state: As of an aggregator.
        works: Its work folders; what each says of the ledger is of the institution's one.
        certificate_days: Until the node's certificate expires.
        space: Of its own folder.
    """

    role: Literal["node that serves"] = "node that serves"
    standing: ServeStanding
    state: Literal["running", "silent", "stopped"]
    works: tuple[NodeStatus, ...]
    certificate_days: float
    space: Space


class ManyStatus(Settings):
    """An aggregator of many runs.

    Attributes:
        runs: Those that it has begun to serve, by name.
        space: Of its folder.
    """

    role: Literal["aggregator of many runs"] = "aggregator of many runs"
    runs: tuple[AggregatorStatus, ...]
    space: Space


Status: TypeAlias = AggregatorStatus | ManyStatus | NodeStatus | ServeStatus
