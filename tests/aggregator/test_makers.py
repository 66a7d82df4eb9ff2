"""Who makes what all nodes need: the next in line takes over, and what counts once counts for ever."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from afml.consortium.makers import PUBLIC_PART, RUN_KEY, Maker
from afml.consortium.run import Phase
from afml.wire import federation_pb2 as wire
from aggregator.store.base import Letter
from tests.aggregator.machine import Machine, small_run

NODES = 4


def _write(machine: Machine, sender: int, recipients: Collection[int], subject: str = RUN_KEY) -> None:
    header = wire.LetterHeader(own=[wire.Own(recipient=one) for one in recipients])
    machine.store.letters.add(Letter(sender, subject, header.SerializeToString()))


def _post(machine: Machine, sender: int, recipients: Collection[int], subject: str = RUN_KEY) -> None:
    _write(machine, sender, recipients, subject)
    machine.engine.letter_came(sender)


def _post_all(machine: Machine, sender: int, subject: str = RUN_KEY) -> None:
    _post(machine, sender, set(machine.config.nodes) - {sender}, subject)


def _maker(machine: Machine, subject: str = RUN_KEY) -> Maker | None:
    return machine.store.makers.all().get(subject)


def test_the_lowest_node_makes_the_key_and_its_work_counts_once_there_is_its_letter_to_everybody(
    machine: Machine,
) -> None:
    machine.enrol(2, 3, 4)
    assert _maker(machine) is None
    machine.wait(11)
    assert _maker(machine) == Maker(2)
    version = machine.engine.version
    _post_all(machine, 3)
    assert _maker(machine) == Maker(2)
    assert machine.engine.version == version
    _post_all(machine, 2)
    assert _maker(machine) == Maker(2, done=True)
    assert machine.engine.version == version + 1, "and everybody is told"
    machine.away(2)
    machine.leave(2)
    assert _maker(machine) == Maker(2, done=True)


def test_the_next_in_line_takes_over_from_a_node_that_is_silent_goes_or_leaves(machine: Machine) -> None:
    machine.enrol()
    _post(machine, 1, {2})
    machine.wait(11)  # nobody can be ready, and node 1 alone is to blame
    assert (_maker(machine), machine.at) == (Maker(2), ("gathering", 1, 2))
    assert machine.reason == "node 1 went away and may come back"
    machine.away(2)
    assert (_maker(machine), machine.at[0]) == (Maker(3), "paused")
    machine.leave(3)
    assert _maker(machine) == Maker(4)
    _post_all(machine, 3)  # too late
    assert _maker(machine) == Maker(4)
    _post_all(machine, 4)
    assert _maker(machine) == Maker(4, done=True)
    machine.enrol(1)
    for node in (1, 2, 4):
        machine.ready(node)
    machine.ready(1, 2, 4)
    assert machine.cohort == [1, 2, 4]


def test_a_letter_that_is_durable_counts_after_a_restart(machine: Machine) -> None:
    machine.enrol()
    _write(machine, 1, {2, 3, 4})
    machine.restart()
    machine.engine.letter_came()
    assert _maker(machine) == Maker(1, done=True)


def test_a_letter_that_came_too_late_counts_once_its_sender_is_next_in_line_again(machine: Machine) -> None:
    machine.enrol()
    machine.away(1)
    _post_all(machine, 1)
    assert _maker(machine) == Maker(2)
    for node in (2, 3, 4):
        machine.leave(node) if node == 3 else machine.away(node)
    assert _maker(machine) == Maker(1, done=True)


def test_the_public_part_is_made_by_the_last_cohort_and_not_lost_with_its_maker(tmp_path: Path) -> None:
    mechanism = {"sample_rate": 1.0, "clip_norm": 1.0, "noise_multiplier": 4.0, "learning_rate": 1.0, "parameters": 49}
    phases = tuple(Phase(name=name, rounds=1, needs_public=name == "game", **mechanism) for name in ("risk", "game"))  # type: ignore[arg-type]
    machine = Machine(tmp_path, small_run(phases=phases))
    machine.enrol()
    assert _maker(machine, PUBLIC_PART) is None
    machine.ready(2, 3, 4)
    machine.wait(11)
    machine.upload()
    machine.publish()
    assert _maker(machine, PUBLIC_PART) == Maker(2)
    machine.wait(99)
    assert _maker(machine, PUBLIC_PART) == Maker(2)
    machine.wait(2)
    assert (_maker(machine, PUBLIC_PART), machine.at) == (Maker(3), ("paused", 2, 2))
    machine.store.close()


def test_a_public_part_after_the_last_round_has_a_next_in_line_too(machine: Machine) -> None:
    machine.enrol()
    machine.play_round()
    machine.play_round()
    assert _maker(machine, PUBLIC_PART) == Maker(1)
    version = machine.engine.version
    machine.wait(101)
    assert _maker(machine, PUBLIC_PART) == Maker(2)
    assert machine.engine.version > version
    assert not machine.engine.settled()
    _post_all(machine, 2, PUBLIC_PART)
    for node in (2, 3, 4):
        machine.report(node, 2)
    machine.wait(101)
    assert machine.engine.settled()


happenings = st.tuples(
    st.sampled_from(["post", "post", "post", "take", "away", "enrol", "wait", "restart"]),
    st.integers(1, NODES),
)


@settings(max_examples=40)
@given(st.lists(happenings, max_size=80))
def test_all_who_hold_a_key_hold_the_same(history: list[tuple[str, int]]) -> None:
    """Nodes write once they are appointed, be it too late, and take what counts; whoever comes, goes or dies."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.enrol()
        held, appointed = dict[int, int](), set[int]()
        for what, node in history:
            maker = _maker(machine)
            assert maker is not None
            appointed.add(maker.node)
            if what == "post" and node in appointed:
                _post_all(machine, node)
            elif what == "take" and maker.done:
                held[node] = maker.node
            elif what == "away":
                machine.away(node)
            elif what == "enrol":
                machine.enrol(node)
            elif what == "wait":
                machine.wait(11)
            elif what == "restart":
                machine.restart()
        event(f"{len(held)} hold a key")
        assert len(set(held.values())) <= 1
        for _ in range(NODES + 1):  # in the end somebody is there
            maker = _maker(machine)
            assert maker is not None
            _post_all(machine, maker.node)
        final = _maker(machine)
        assert final is not None
        assert final.done
        assert set(held.values()) <= {final.node}
        machine.store.close()
