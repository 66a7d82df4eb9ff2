"""Reasons on the wire: a fixed list of codes, and words that whoever shows them makes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.reasons import LEAVING, Cause, Reason
from afml.core.errors import (
    BudgetError,
    ConfigError,
    IntegrityError,
    ModelsDiffer,
    ProtocolError,
    SumNotVerified,
    Superseded,
)
from afml.wire import federation_pb2 as wire

NODES = (1, 2, 3, 4)
sides = st.lists(st.lists(st.sampled_from(NODES), min_size=1, unique=True).map(tuple), max_size=4).map(tuple)
causes = st.builds(
    Cause, reason=st.sampled_from(Reason), round=st.integers(0, 2**32 - 1), sides=sides,
    because=st.sampled_from(Reason), count=st.integers(0, 2**32 - 1),
)  # fmt: skip


def test_the_list_is_the_protocols() -> None:
    assert {f"REASON_{reason.name}" for reason in Reason} == set(wire.Reason.keys())
    assert [Reason.of(reason.wire) for reason in Reason] == list(Reason)
    assert Reason.of(999) is Reason.UNSPECIFIED  # type: ignore[arg-type]  # of a newer version


@given(causes)
def test_a_cause_comes_through_the_wire_and_the_store_as_it_was(cause: Cause) -> None:
    assert Cause.of(wire.Cause.FromString(cause.wire.SerializeToString()), NODES) == cause
    assert Cause.model_validate_json(cause.canonical()) == cause


@given(st.binary(max_size=200))
def test_whatever_an_aggregator_sends_becomes_one_printable_line_about_nodes_of_the_run(sent: bytes) -> None:
    message = wire.Cause()
    try:
        message.ParseFromString(sent)
    except Exception:  # noqa: BLE001  # protobuf's own; gRPC refuses such a message before anybody sees it
        return
    cause = Cause.of(message, NODES)
    assert {node for side in cause.sides for node in side} <= set(NODES)
    text = cause.text(3)
    assert text.isprintable()
    assert len(text) < 300


def test_an_invented_crowd_is_not_named() -> None:
    crowd = [wire.Side(nodes=range(1000)) for _ in range(1000)]
    cause = Cause.of(wire.Cause(reason=wire.REASON_MODELS_DIFFER, sides=crowd), NODES)
    assert cause.sides == ((1, 2, 3, 4),) * 4


def test_what_a_node_gives_as_its_reason_holds_no_number() -> None:
    """17 people withdrew, 0.4 sigma are left: that is the institution's, and no word of it leaves."""
    given_by = {
        BudgetError("17 of these people have withdrawn, 0.4 sigma are left"): Reason.SPEND_REFUSED,
        IntegrityError("residual"): Reason.CHECK_FAILED,
        ProtocolError("older than attempt 2"): Reason.CHECK_FAILED,
        Superseded("late"): Reason.CHECK_FAILED,
        ModelsDiffer("sides"): Reason.MODELS_DIFFER,
        SumNotVerified("is another one"): Reason.SUM_NOT_VERIFIED,
        ConfigError("no policy"): Reason.UNSPECIFIED,
    }
    for error, reason in given_by.items():
        assert Reason.of_error(error) is reason
        assert reason in LEAVING
        text = Cause(reason=Reason.LEFT, sides=((3,),), because=reason).text(3)
        assert text.startswith("node 3 left (")
        assert not set("012456789") & set(text)
    fields = wire.LeaveNotice.DESCRIPTOR.fields_by_name
    assert set(fields) == {"run", "config_digest", "node", "reason", "signature", "refused"}
    assert set(wire.RefusedSum.DESCRIPTOR.fields_by_name) == {"round", "attempt", "sum"}, "which sum, and no more"
    assert fields["reason"].enum_type.name == "Reason"


def test_texts() -> None:
    assert Cause(reason=Reason.UPLOAD_MISSED, sides=((1, 4),)).text(3) == "nodes [1, 4] missed the upload deadline"
    absent = Cause(reason=Reason.TOO_FEW_READY, round=2, sides=((1, 3),), count=1)
    assert absent.text(3) == "round 2: only 1 of quorum 3 nodes are there, nodes [1, 3] are absent"
    assert absent.text(3, {1: "Ulm"}).endswith("there, nodes [1 (Ulm), 3] are absent")
    assert Cause(reason=Reason.AWAY, sides=((2,),)).text(3, {2: "Bonn"}) == "node 2 (Bonn) went away and may come back"
    assert Cause(reason=Reason.MODELS_DIFFER, round=4, sides=((1, 3), (2,))).text(3) == (
        "nodes hold different models after round 4: [1, 3] / [2]"
    )
