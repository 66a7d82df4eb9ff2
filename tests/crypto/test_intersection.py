"""Private set intersection: against sets that are compared openly, and against parties that cheat."""

from __future__ import annotations

import os
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.core.errors import IntegrityError
from crypto.public.curve25519 import POINT, P, on_curve
from crypto.secret.intersection import BlindKey, blinded, hashed, in_common

EACH = 3
RUN = b"r" * 32
people = st.lists(st.lists(st.sampled_from([bytes([n]) for n in range(9)]), max_size=EACH, unique=True), max_size=5)


def secret(number: int) -> bytes:
    return bytes([number]) * 32


def openly(own: list[list[bytes]], others: list[list[bytes]]) -> list[int]:
    """The obvious way: everybody's fingerprints on the table."""
    there = {fingerprint for one in others for fingerprint in one}
    return [sum(fingerprint in there for fingerprint in one) for one in own]


def asked(own: list[list[bytes]], others: list[list[bytes]]) -> list[int]:
    """The protocol: `own` asks with one key, the others answer with theirs."""
    asking, answering = BlindKey(secret(1)), BlindKey(secret(2))
    query = blinded(asking, hashed(own, EACH, RUN, secret(3)))
    offer = blinded(answering, hashed(others, EACH, RUN, secret(4)))
    answers = answering.times(query.points, where="query")
    return in_common(answers, asking.times(offer.points, where="offer"), query.places)


@settings(max_examples=40, deadline=None)
@given(people, people)
def test_what_is_found_is_what_sets_have_in_common(own: list[list[bytes]], others: list[list[bytes]]) -> None:
    assert asked(own, others) == openly(own, others)


def rows(points: bytes) -> list[bytes]:
    return [points[at : at + POINT] for at in range(0, len(points), POINT)]


def test_letters_tell_neither_how_many_calls_are_missing_nor_who_is_whose() -> None:
    few, many = [[b"a"], []], [[b"a", b"b", b"c"], [b"d", b"e", b"a"]]
    for one in (few, many):
        points = rows(blinded(BlindKey(secret(1)), hashed(one, EACH, RUN, secret(3))).points)
        assert len(points) == len(one) * EACH
        assert len(set(points)) == len(points)
        assert points == sorted(points)
    one = blinded(BlindKey(secret(1)), hashed(many, EACH, RUN, secret(3)))
    other = blinded(BlindKey(secret(1)), hashed(many[::-1], EACH, RUN, secret(3)))
    assert one.points == other.points
    assert [set(places) for places in one.places] == [set(places) for places in other.places[::-1]]


def test_points_of_other_keys_and_runs_have_nothing_in_common() -> None:
    inputs = hashed([[b"a", b"b", b"c"]], EACH, RUN, secret(3))
    first = set(rows(blinded(BlindKey(secret(1)), inputs).points))
    assert not first & set(rows(blinded(BlindKey(secret(2)), inputs).points))
    other_run = hashed([[b"a", b"b", b"c"]], EACH, b"s" * 32, secret(3))
    assert not first & set(rows(blinded(BlindKey(secret(1)), other_run).points))


def test_every_point_is_of_the_curve_so_that_none_tells_a_bit() -> None:
    inputs = hashed([[bytes([n]) for n in range(3)] for _ in range(20)], EACH, RUN, secret(3))
    for points in (inputs.points, blinded(BlindKey(secret(1)), inputs).points):
        assert all(on_curve(int.from_bytes(point, "little")) for point in rows(points))


@pytest.mark.parametrize("small", [0, 1, P - 1, P, P + 1])
def test_points_of_small_order_are_refused(small: int) -> None:
    points = bytes([9]) + bytes(31) + small.to_bytes(32, "little")
    with pytest.raises(IntegrityError, match=r"query of node 2: holds a point of small order"):
        BlindKey(secret(1)).times(points, where="query of node 2")


def test_half_a_point_is_refused() -> None:
    with pytest.raises(IntegrityError, match="no row of points"):
        BlindKey(secret(1)).times(bytes(33), where="query")


def test_a_keeper_that_shares_nobody_has_nobody_left_out() -> None:
    """It returns the asker's own points, others of them, or what it likes: nothing of it is found in its offer."""
    asking = BlindKey(secret(1))
    query = blinded(asking, hashed([[b"a", b"b", b"c"], [b"d", b"e", b"f"]], EACH, RUN, secret(3)))
    mine = BlindKey(secret(7))
    offers = [query.points, query.points[POINT:] + query.points[:POINT], mine.times(query.points, where="")]
    for offer in offers:
        doubled = asking.times(offer, where="offer")
        for answers in (*offers, mine.times(offer, where=""), offer):
            assert in_common(answers, doubled, query.places) == [0, 0]


def test_answers_in_another_order_find_no_more_fingerprints_than_are_shared() -> None:
    """They can be found at others of the asker's people, which docs/design/overlap.md says; and none of them twice."""
    asking, answering = BlindKey(secret(1)), BlindKey(secret(2))
    own, others = [[b"a", b"b", b"c"], [b"d", b"e", b"f"]], [[b"a", b"b", b"c"], [b"x"]]
    query = blinded(asking, hashed(own, EACH, RUN, secret(3)))
    offer = blinded(answering, hashed(others, EACH, RUN, secret(4)))
    doubled = asking.times(offer.points, where="offer")
    answers = rows(answering.times(query.points, where="query"))
    assert in_common(b"".join(answers), doubled, query.places) == [3, 0]
    assert sum(in_common(b"".join(answers[1:] + answers[:1]), doubled, query.places)) == 3
    found = next(answer for answer in answers if answer in rows(doubled))
    with pytest.raises(IntegrityError, match="gives the same point twice"):
        in_common(found * len(answers), doubled, query.places)


def test_keys_are_neither_shown_nor_pickled() -> None:
    key = BlindKey(os.urandom(32))
    assert repr(key) == "BlindKey(secret)"
    with pytest.raises(TypeError):
        pickle.dumps(key)
