"""A node that came too late: enrolment has closed without it, and it has the aggregator's signature for that.

Nothing is taken on the word of a refusal alone. What frees a reservation is a list, signed by the key of the
transcript, of who is in the run for good. It lacks this node; and this node's own books hold no spend of the run, so
that nothing of it was ever sent. Then its part ends like that of a node that leaves: the ledger closes the run, which
counts whatever was spent - nothing - and refuses any spend on it for ever. An aggregator that signs what is not so
keeps a node out of a run, which it could by silence, and leaves its signature with it.
"""

from __future__ import annotations

from afml.core.config import canonical_json
from afml.core.errors import IntegrityError, ProtocolError, TransportError
from node.party import Party

CLOSED = "closed-enrolment"
"""Name of what is kept of it in the run folder."""


def require_place(party: Party) -> None:
    """End this node's part, after its enrolment was refused, where the run goes on without it for good.

    Where that is not certain nothing happens, and the refusal stands.

    Raises:
        ProtocolError: It does.
    """
    if party.applied or party.guard.begun:
        return
    try:
        found = party.client.closed_enrolment()
    except (ProtocolError, IntegrityError, TransportError):
        return
    if party.kit.node in found.nodes:
        return
    kept = {"nodes": list(found.nodes), "signature": found.signature.hex()}
    party.journal.letters.keep_letter(CLOSED, canonical_json(kept))
    party.ended = True
    raise ProtocolError(
        f"enrolment of run {party.run.run} is closed: nodes {', '.join(map(str, found.nodes))} are in it, and this one "
        "is not",
        cure="what was set aside for it is free again; take part in the next run",
    )
