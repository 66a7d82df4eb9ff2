"""This node's part in what one node makes for all: to make it when it is appointed, to take it from whoever has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from afml.consortium.makers import Maker
from afml.consortium.nodekit import NodeKit
from afml.core.errors import ProtocolError, TransportError
from afml.core.progress import Event, Tell
from node.announcements import Announcements
from node.mailbox import Mailbox

_LETTER_S = 600.0


class MakingParty(Protocol):
    """What making needs of a node (`node.party.Party`)."""

    @property
    def kit(self) -> NodeKit:
        """Its kit."""
        ...

    @property
    def mailbox(self) -> Mailbox:
        """Its letters."""
        ...

    @property
    def news(self) -> Announcements | None:
        """The run's announcements."""
        ...

    @property
    def tell(self) -> Tell:
        """Told what it is doing."""
        ...

    def require_going(self) -> None:
        """End the wait when the run has failed, or this node is to stop."""
        ...


def made_for_all(party: MakingParty, subject: str, others: set[int], make: Callable[[], bytes]) -> bytes:
    """What counts for all, whoever made it.

    Args:
        party: This node.
        subject: What is made (`afml.consortium.makers`).
        others: The other nodes of the run.
        make: Makes it, or finds what this node made before; what it returns is durable.

    Raises:
        TransportError: The letter that the aggregator says is there does not come.
        IntegrityError: It is not of the node that the aggregator names.
        ProtocolError: The aggregator names nobody of the run, or the run failed.
        Stopped: This node is to stop.
    """
    assert party.news is not None, "whoever is enrolled watches"
    own: bytes | None = None
    told: int | None = None
    for state in party.news:
        party.require_going()
        maker = next((Maker(one.node, one.done) for one in state.makers if one.subject == subject), None)
        if maker is None:
            continue
        if maker.node not in others | {party.kit.node}:
            raise ProtocolError(f"node {maker.node} is to make the {subject}, says the aggregator", where="makers")
        if maker.node == party.kit.node:
            if own is None:
                own = make()
                party.mailbox.send_sealed(others, subject, own)
            if maker.done:
                return own
        elif maker.done:
            waiting = party.require_going
            come = party.mailbox.receive_sealed([maker.node], subject, wait_s=_LETTER_S, waiting=waiting)
            if maker.node not in come:
                cure = "start the node again; if that does not help, the aggregator"
                raise TransportError(f"the letter with the {subject} did not come", where="makers", cure=cure)
            return come[maker.node]
        elif told != maker.node:
            told = maker.node
            party.tell(Event("waiting", text=f"waiting for node {maker.node} to make the {subject} of all"))
    raise AssertionError("unreachable: announcements end by an error only")
