"""What goes from the disk of a run that is over: sums that all have applied, and long letters; short ones stay."""

from __future__ import annotations

from afml.consortium.stage import Stage
from aggregator.letters import Letters
from aggregator.run import ServedRun


async def prune(run: ServedRun, letters: Letters) -> None:
    """Remove sums and long letters of a finished run once everybody in it has its model; of a failed one the letters.

    A node that was away at the end needs all of it to catch up: as long as one has not said which model it holds,
    everything stays. Among the sums of a run that failed may be one that a node has refused, which is evidence.

    Args:
        run: Any.
        letters: Its mail.

    Raises:
        Lost: Another process has taken the run on.
    """
    stage, there = run.store.position().stage, run.store.members.all()
    holding = set(run.store.rounds.digests(run.config.rounds))
    awaited = {node for node, member in there.items() if member.left is None} - holding
    whole = stage is Stage.FINISHED and not awaited
    if whole:
        await run.clear_sums(before=run.config.rounds + 1)
    if whole or stage is Stage.FAILED:
        await letters.clear_long()
