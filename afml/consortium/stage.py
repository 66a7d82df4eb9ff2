"""The stages of a run, as the aggregator's store, its announcements and the nodes name them."""

from __future__ import annotations

from enum import StrEnum

from afml.wire import federation_pb2 as pb


class Stage(StrEnum):
    """Where a run stands (docs/DATA_MODEL.md draws the moves)."""

    ENROLLING = "enrolling"
    GATHERING = "gathering"
    OPEN = "open"
    SUMMING = "summing"
    FINISHED = "finished"
    FAILED = "failed"
    PAUSED = "paused"

    @property
    def wire(self) -> pb.Stage.ValueType:
        """Its number on the wire."""
        return pb.Stage.Value(f"STAGE_{self.name}")

    @classmethod
    def of(cls, number: pb.Stage.ValueType) -> Stage | None:
        """The stage of a number on the wire; None for one that this version does not know."""
        name = pb.Stage.Name(number).removeprefix("STAGE_") if number in pb.Stage.values() else ""
        return cls[name] if name in cls.__members__ else None

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self in (Stage.FINISHED, Stage.FAILED)
