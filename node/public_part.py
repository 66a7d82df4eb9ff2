"""The public part of a model: made once, by the lowest node of the last cohort, and sent to all."""

from __future__ import annotations

from afml.core.progress import Event
from node.party import Party
from node.patience import PATIENCE_S

SUBJECT = "public-model"


def require_public_part(party: Party) -> None:
    """Make it or fetch it, and store it; nothing to do where it is there.

    Raises:
        TransportError: The elected node did not send it in time.
        IntegrityError: What came is not from it, or not of this run.
    """
    if party.task.has_public_part:
        return
    elected = min(party.last_cohort())
    if party.kit.node == elected:
        blob = party.journal.public_model()
        if blob is None:
            party.tell(Event("public"))
            blob = party.task.train_public(lambda done, total: _tell(party, done, total))
            party.journal.keep_public_model(blob)
        for node in party.keys.pad_secrets:
            party.mailbox.send_sealed(node, SUBJECT, blob)
    else:
        party.tell(Event("waiting", text=f"waiting for node {elected} to train the public part"))
        blob = party.mailbox.receive_sealed(elected, SUBJECT, wait_s=PATIENCE_S, waiting=party.require_going)
    party.task.load_public(blob)
    party.keep_state()


def _tell(party: Party, done: int, total: int) -> None:
    if done % max(1, total // 10) == 0:
        party.tell(Event("public", step=done, steps=total))
