"""A further process of a node: computes its part of each clipped sum and does nothing else.

It reads the prepared folder, talks to the node's first process alone, and writes nothing. It has no key, no
ledger and no connection to anybody, and draws no noise.
"""

from __future__ import annotations

from collections.abc import Callable

from afml.core.errors import IntegrityError
from afml.training.processes.group import Group
from afml.training.step import Trainer


def work(group: Group, load: Callable[[], Trainer]) -> None:
    """Serve the first process until it needs no more.

    Args:
        group: This process is not its first.
        load: Reads the run and the people; called when the first process has found nothing wrong with them, before
            it enrols.

    Raises:
        ProcessLost: The first process is gone.
        IntegrityError: It holds another run or other people than this process, or does not know the processes' key.
    """
    asked = group.asked()
    if asked is None:
        return
    trainer = load()
    _require_same(group, asked, trainer.held())
    group.ready()
    while (request := group.heard()) is not None:
        _require_same(group, request.held, trainer.held())
        trainer.task.load_state(request.state)
        own = group.part(request.batch)
        group.give(trainer.part(request.phase, own, request.people()), len(own))


def _require_same(group: Group, asked: str, held: str) -> None:
    if asked != held:
        raise IntegrityError(
            "holds another run or other people than the node's first process",
            where=f"process {group.rank} of this node",
            cure="do not prepare a work folder while it is in use; start the node again",
        )
