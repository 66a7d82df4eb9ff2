"""The public part of a model: made by one node, of the last cohort where there is one, and sent to all."""

from __future__ import annotations

from afml.consortium.makers import PUBLIC_PART
from afml.core.progress import Event
from node.makers import made_for_all
from node.party import Party


def require_public_part(party: Party) -> None:
    """Make it or fetch it, and store it; nothing to do where it is there.

    Raises:
        TransportError, IntegrityError, ProtocolError, Stopped: See `node.makers.made_for_all`.
    """
    if party.task.has_public_part:
        return
    blob = made_for_all(party, PUBLIC_PART, set(party.keys.pairs.peers), lambda: _made_here(party))
    party.task.load_public(blob)
    party.keep_state()


def _made_here(party: Party) -> bytes:
    blob = party.journal.public_model()
    if blob is None:
        party.tell(Event("public"))
        blob = party.task.train_public(lambda done, total: _tell(party, done, total))
        party.journal.keep_public_model(blob)
    return blob


def _tell(party: Party, done: int, total: int) -> None:
    party.require_going()  # somebody else makes it where this node is to stop
    if done % max(1, total // 10) == 0:
        party.tell(Event("public", step=done, steps=total))
