"""Random histories of a conspiracy of coordinator, aggregator and one institution against three honest ones.

Whatever they sign, send, withhold, forge or replay, whatever one careless operator does to a ledger, and however often
people are renamed or sampled again:

- nobody's people leak more than the lifetime budget of their institution's policy, counted beside the product by what
  noise of honest institutions really covered what left;
- somebody who is enrolled at two institutions, and whose cards say so, leaks no more than that from both together;
- somebody whose record stands in a file twice counts once;
- whoever withdrew leaks nothing more;
- an honest node that stays has every sum it paid for, unless that sum was withheld or wrong;
- nobody is named as having lost or forked a ledger who has not;
- a ledger that was put back or begun anew is named by `audit verify`, given one honest peer's note.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, nullcontext

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.hostile.moves import Histories
from tests.hostile.world import Consortia, World

HISTORIES = int(os.environ.get("AFML_HISTORIES", "100"))
STEPS = 20


def _search(histories: int, phases: tuple[Phase, ...] = tuple(Phase)) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Histories,
        settings=settings(
            max_examples=histories,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def consortia(tmp_path_factory: pytest.TempPathFactory) -> Consortia:
    Histories.consortia = Consortia.make(tmp_path_factory.mktemp("kits"))
    return Histories.consortia


@pytest.fixture
def world(consortia: Consortia) -> Iterator[World]:
    with closing(World(consortia, refuses=frozenset())) as made:
        yield made


def test_no_history_breaks_an_honest_institution() -> None:
    _search(HISTORIES)


def _nothing(*_: object, **__: object) -> None:
    pass


def _no_pairs(*_: object, **__: object) -> list[object]:
    return []


WEAKNESSES = {
    "nobody compares models": ("tests.hostile.site.require_same_model", _nothing),
}


@pytest.mark.parametrize("weakness", WEAKNESSES)
def test_a_weakness_is_found(weakness: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The invariants can fail: each of these would."""
    monkeypatch.setattr(*WEAKNESSES[weakness])
    with pytest.raises(AssertionError):
        _search(HISTORIES, (Phase.generate,))


def _runs_follow_each_other(history: Histories) -> None:
    history.begin(travels=False, more=_FIRST)
    for _ in range(2):  # together they come to 1.22 sigma, where the policies allow 1
        history.play_a_run(more=_FIRST, ends=False)


def _somebody_travels(history: Histories) -> None:
    history.begin(travels=True, more=_FIRST)


def _somebody_is_sampled_again(history: Histories) -> None:
    history.sample_somebody_again(node=3, person=1, before=True, answer="first")
    history.begin(travels=False, more=_FIRST)


def _somebody_withdraws_during_a_run(history: Histories) -> None:
    history.begin(travels=False, more=_FIRST | {"moves": [("none", 1, 0)]})
    history.withdraw(node=1, person=0, which=0, called=True)


_FIRST = {
    "multiplier": 2.0, "shape": (2, 3, 1), "noise": "distributed", "enrolments": 1, "moves": [("none", 1, 0)] * 2,
}  # fmt: skip
DIRECTED = {
    "nobody counts what is set aside": (
        "afml.ledger.plans.Plans._require_room", _nothing, _runs_follow_each_other,
    ),
    "nobody reads at how many institutions a person may be": (
        "tests.hostile.site.require_enrolments", _nothing, _somebody_travels,
    ),
    "nobody looks for the same record twice": (
        "afml.genomics.persons.related", _no_pairs, _somebody_is_sampled_again,
    ),
    "nobody refuses to spend on who withdrew": (
        "afml.ledger.people.People.refuse_withdrawn", _nothing, _somebody_withdraws_during_a_run,
    ),
}  # fmt: skip


@pytest.mark.parametrize("weakness", DIRECTED)
def test_a_weakness_shows_in_the_history_that_is_about_it(weakness: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, broken, moves = DIRECTED[weakness]
    for patched in (False, True):
        if patched:
            monkeypatch.setattr(place, broken)
        history = Histories()
        with closing(history.world):
            moves(history)
            with pytest.raises(AssertionError) if patched else nullcontext():
                history.check()


def test_peers_stop_a_ledger_that_was_begun_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node 1 loses its ledger and all that its disk remembers; its peers, who have room for three runs, do not."""
    site, twice = world.sites[1], [("none", 1, 0)] * 2
    world.play("a", twice, multiplier=3.2)
    leaked = site.leaked[0]
    assert leaked > 0
    site.replace_ledger(None, machine=True)
    world.play("b", twice, multiplier=3.2)
    assert site.leaked[0] == leaked
    site.replace_ledger(None, machine=True)
    for check in ("require_past", "countersign"):  # without these it would have gone on
        monkeypatch.setattr(f"afml.ledger.witness.Witness.{check}", _nothing)
    world.play("c", twice, multiplier=3.2)
    assert site.leaked[0] == 2 * leaked


def test_withdrawal_takes_effect_in_the_middle_of_a_run(world: World) -> None:
    world.play("a", [("none", 1, 0)])
    site = world.sites[1]
    site.withdraw(0)
    before = site.leaked[0]
    world.attempt(world.runs[-1], 1, "none", 1, 0)
    assert site.leaked[0] == before > 0


def test_who_was_renamed_during_a_run_withdraws_by_the_name_that_it_began_with(world: World) -> None:
    """The ledger has not met the new name, and says so; its operator gives the earlier one, too."""
    world.play("a", [("none", 1, 0)])
    site = world.sites[1]
    site.cohort.rename(0)
    site.withdraw(0)
    before = site.leaked[0]
    world.attempt(world.runs[-1], 1, "none", 1, 0)
    assert site.leaked[0] == before > 0
