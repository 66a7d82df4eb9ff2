"""Why a node leaves, an attempt is lost, a run is paused or fails: codes on the wire, words where they are shown.

A text of a party's own choice could say more than it should (how many people, how much budget) or carry what a
terminal obeys. So none crosses the wire.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

from afml.core.config import Settings
from afml.core.errors import AfmlError, BudgetError, IntegrityError, ModelsDiffer, ProtocolError, SumNotVerified
from afml.wire import federation_pb2 as pb


class Reason(StrEnum):
    """One of a fixed list; `proto/afml/v1/federation.proto` has the same names and their numbers."""

    UNSPECIFIED = "unspecified"
    SPEND_REFUSED = "spend-refused"
    CHECK_FAILED = "check-failed"
    MODELS_DIFFER = "models-differ"
    BY_HAND = "by-hand"
    SUM_NOT_VERIFIED = "sum-not-verified"
    LEFT = "left"
    DECLINED = "declined"
    UPLOAD_MISSED = "upload-missed"
    BAD_CIPHERTEXT = "bad-ciphertext"
    TOO_FEW_READY = "too-few-ready"
    TOO_FEW_LEFT = "too-few-left"
    AWAY = "away"
    HELD = "held"
    ABORTED = "aborted"

    @property
    def wire(self) -> pb.Reason.ValueType:
        """Its number on the wire."""
        return pb.Reason.Value(f"REASON_{self.name}")

    @classmethod
    def of(cls, number: pb.Reason.ValueType) -> Reason:
        """The reason of a number on the wire; UNSPECIFIED for one that this version does not know."""
        name = pb.Reason.Name(number).removeprefix("REASON_") if number in pb.Reason.values() else ""
        return cls[name] if name in cls.__members__ else cls.UNSPECIFIED

    @classmethod
    def of_error(cls, error: AfmlError) -> Reason:
        """What a node that leaves because of an error gives as its reason."""
        if isinstance(error, BudgetError):
            return cls.SPEND_REFUSED
        if isinstance(error, ModelsDiffer):
            return cls.MODELS_DIFFER
        if isinstance(error, SumNotVerified):
            return cls.SUM_NOT_VERIFIED
        return cls.CHECK_FAILED if isinstance(error, IntegrityError | ProtocolError) else cls.UNSPECIFIED


_OF_NODES = {
    Reason.SPEND_REFUSED: "its ledger or policy does not allow the next spend",
    Reason.CHECK_FAILED: "something that it was sent did not pass its checks",
    Reason.MODELS_DIFFER: "it found that nodes hold different models",
    Reason.BY_HAND: "its operator ended its part",
    Reason.SUM_NOT_VERIFIED: "it found that a sum is not that of what its nodes encrypted",
    Reason.BAD_CIPHERTEXT: "it sent a ciphertext that cannot be added",
}
LEAVING = (
    Reason.UNSPECIFIED,
    Reason.SPEND_REFUSED,
    Reason.CHECK_FAILED,
    Reason.MODELS_DIFFER,
    Reason.BY_HAND,
    Reason.SUM_NOT_VERIFIED,
)
"""What a node may give as its reason for leaving."""


class Cause(Settings):
    """Why an attempt was given up, or a run is paused or failed.

    Attributes:
        reason: What happened.
        round: The round after which models differ, or whose sum was refused.
        sides: The nodes it is about; of models that differ, the nodes that hold each of them.
        because: The own reason of a node that left.
        count: Nodes that were there, where they were too few.
    """

    reason: Reason
    round: int = 0
    sides: tuple[tuple[int, ...], ...] = ()
    because: Reason = Reason.UNSPECIFIED
    count: int = 0

    @property
    def wire(self) -> pb.Cause:
        """As an announcement carries it."""
        return pb.Cause(
            reason=self.reason.wire,
            round=self.round,
            sides=[pb.Side(nodes=side) for side in self.sides],
            because=self.because.wire,
            count=self.count,
        )

    @classmethod
    def of(cls, message: pb.Cause, nodes: Collection[int]) -> Cause:
        """The cause that an announcement carries; of the nodes that it names, those of the run."""
        sides = [tuple(dict.fromkeys(node for node in side.nodes if node in nodes)) for side in message.sides]
        return cls(
            reason=Reason.of(message.reason),
            round=message.round,
            sides=tuple(side for side in sides if side)[: len(nodes)],
            because=Reason.of(message.because),
            count=message.count,
        )

    def text(self, quorum: int, names: Mapping[int, str] | None = None) -> str:
        """One line for people.

        Args:
            quorum: Of the run.
            names: node -> name of its institution, where they are to be told.
        """
        who = _named((node for side in self.sides for node in side), names or {})
        left = f"{who} left ({_OF_NODES.get(self.because, 'no reason given')})"
        texts = {
            Reason.MODELS_DIFFER: different(self.round, self.sides),
            Reason.SUM_NOT_VERIFIED: f"{who} found that the sum of round {self.round} is not that of what its nodes "
            "encrypted",
            Reason.LEFT: left,
            Reason.DECLINED: f"{who} declined",
            Reason.UPLOAD_MISSED: f"{who} missed the upload deadline",
            Reason.BAD_CIPHERTEXT: f"{who} sent a ciphertext that cannot be added",
            Reason.TOO_FEW_READY: f"round {self.round}: only {self.count} of quorum {quorum} nodes are there"
            + (f", {who} {'is' if sum(map(len, self.sides)) == 1 else 'are'} absent" if self.sides else ""),
            Reason.AWAY: f"{who} went away and may come back",
            Reason.HELD: "held by order until it is resumed",
            Reason.ABORTED: "ended by order",
            Reason.TOO_FEW_LEFT: f"{left}; {self.count} are left, quorum is {quorum}",
        }
        return texts.get(self.reason, "no reason given")


def different(round_number: int, sides: Iterable[Collection[int]]) -> str:
    """Says which nodes hold which of several models.

    Args:
        round_number: The last round whose sum is in them; 0 for the models that a run begins with.
        sides: The nodes that hold each of them.
    """
    when = f"after round {round_number}" if round_number else "before round 1"
    return f"nodes hold different models {when}: {' / '.join(str(sorted(side)) for side in sides)}"


def _named(nodes: Iterable[int], names: Mapping[int, str]) -> str:
    """ "node 3 (Ulm)", or several, as the roster names them."""
    told = [f"{node} ({names[node]})" if node in names else str(node) for node in nodes]
    return f"node {told[0]}" if len(told) == 1 else f"nodes [{', '.join(told)}]"
