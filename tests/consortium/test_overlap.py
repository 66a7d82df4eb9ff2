"""What all ends agree on about a query for shared people: one order for all pairs, and exact sizes."""

from __future__ import annotations

import pytest

from afml.consortium.limits import MAX_SUBJECT
from afml.consortium.overlap import ASK, BANDS, OWN, about_overlap, answer_to, letter_size, order
from tests.ledger.helpers import config


def test_the_order_follows_from_the_run_and_differs_between_runs() -> None:
    runs = [config(f"run-{number}") for number in range(40)]
    assert all(sorted(order(run)) == [1, 2, 3] for run in runs)
    assert [order(run) for run in runs] == [order(run) for run in runs]
    assert {order(run)[0] for run in runs} == {1, 2, 3}


@pytest.mark.parametrize("subject", ["overlap", "overlap-answer-", "overlap-answer-0", "overlap-answer-01", "run-key"])
def test_other_subjects_are_not_about_it(subject: str) -> None:
    assert not about_overlap(subject)
    assert letter_size(config("run-1"), 1, subject) is None


def test_letters_are_as_long_as_the_people_make_them() -> None:
    run = config("run-1", enrolled={1: 10, 2: 20, 3: 30})
    assert [letter_size(run, 2, subject) for subject in (OWN, ASK)] == [20 * BANDS * 32] * 2
    assert letter_size(run, 2, answer_to(3)) == 30 * BANDS * 32
    assert letter_size(run, 2, answer_to(4)) is None
    assert all(about_overlap(subject) and len(subject) <= MAX_SUBJECT for subject in (OWN, ASK, answer_to(999_999)))
