"""Work in forked children: results in order, errors as they were raised, deaths told, nobody left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from afml.core.children import ChildDied, from_child, in_children
from afml.core.errors import BudgetError, InputError


def fail() -> int:
    raise InputError("is wrong", where="a file", cure="mend it")


def no_child_is_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def test_results_come_in_order_whoever_is_first() -> None:
    assert in_children([partial(pow, 2, n) for n in range(9)], 3) == [2**n for n in range(9)]
    assert in_children([lambda: b"x" * 3_000_000, os.getpid], 2)[1] != os.getpid()
    assert in_children([], 2) == []


def test_what_a_child_raises_its_parent_raises() -> None:
    with pytest.raises(InputError, match="a file: is wrong; mend it") as caught:
        in_children([signal.pause, fail], 2)  # type: ignore[list-item]
    assert (caught.value.where, caught.value.cure) == ("a file", "mend it")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        in_children([lambda: 1 // 0], 1)


def test_a_child_that_dies_is_told() -> None:
    with pytest.raises(ChildDied, match="SIGSEGV"):
        in_children([lambda: os.kill(os.getpid(), signal.SIGSEGV)], 1)
    with pytest.raises(ChildDied, match="exit code 7"):
        in_children([lambda: os._exit(7)], 1)


def count(then: object) -> Iterator[int]:
    yield from range(1000)
    if isinstance(then, Exception):
        raise then
    if then:
        os.kill(os.getpid(), signal.SIGSEGV)


def test_a_generator_in_a_child() -> None:
    assert list(from_child(partial(count, None))) == list(range(1000))
    with pytest.raises(BudgetError, match="no more"):
        list(from_child(partial(count, BudgetError("no more"))))
    with pytest.raises(ChildDied, match="SIGSEGV"):
        list(from_child(partial(count, True)))
    for one in from_child(partial(count, None)):
        if one == 5:
            break


def test_nobody_is_left() -> None:
    before = no_child_is_left()
    for one in from_child(partial(count, None)):
        assert one == 0
        break
    with pytest.raises(InputError):
        in_children([signal.pause, fail], 2)  # type: ignore[list-item]
    assert no_child_is_left() == before
