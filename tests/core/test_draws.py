from __future__ import annotations

from afml.core.draws import draws_of, public_draw


def _numbers(stem: str, label: str) -> list[int]:
    return list(public_draw(stem, label).integers(0, 1 << 60, 4))


def test_a_draw_depends_on_its_label_and_on_the_seed_alone() -> None:
    assert _numbers(draws_of("one", 7), "game") == _numbers(draws_of("another", 7), "game")
    assert _numbers(draws_of("one", 7), "game") != _numbers(draws_of("one", 8), "game")
    assert _numbers(draws_of("one", 7), "game") != _numbers(draws_of("one", 7), "decoys")


def test_without_a_seed_it_depends_on_the_run() -> None:
    assert _numbers(draws_of("one", None), "game") == _numbers(draws_of("one", None), "game")
    assert _numbers(draws_of("one", None), "game") != _numbers(draws_of("two", None), "game")
    assert draws_of("seed 7", None) != draws_of("x", 7)  # a run cannot be named like a seed
