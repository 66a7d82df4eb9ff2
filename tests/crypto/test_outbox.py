"""Stored before sent: retries resend the same bytes, lost bytes refuse the attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import IntegrityError, ProtocolError
from crypto.public.grid import Grid
from crypto.public.params import choose
from crypto.public.payload import upload_size
from crypto.public.signing import public_bytes, verify
from node.outbox import Outbox
from tests.crypto.parties import attempt, encode, roster

PARAMS = choose(2, 16, 10**6)
BYTES = upload_size(PARAMS)
ATTEMPT = attempt((1, 2))
_, KEYS = roster(2)


def make() -> Iterator[bytes]:
    yield from encode(PARAMS, Grid(1.0), 1, np.ones(PARAMS.parameters_per_chunk + 1), (1, 2))


def never() -> Iterator[bytes]:
    raise AssertionError("an attempt was encrypted twice")


def test_retries_send_the_stored_bytes(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "box", BYTES).submission(ATTEMPT, make)
    again = Outbox(tmp_path / "box", BYTES).submission(ATTEMPT, never)
    sent = list(first.signed(1, KEYS[1]))
    assert first.count == again.count == len(sent) == 2
    assert list(again.signed(1, KEYS[1])) == sent
    assert list(again.signed(1, KEYS[1], first=1)) == sent[1:]
    for index, payload, signature in sent:
        verify(public_bytes(KEYS[1]), ATTEMPT.chunk_message(1, index, 2, payload), signature)
    assert (tmp_path / "box").stat().st_mode & 0o777 == 0o700


def test_kill_between_pad_and_store_refuses_the_attempt(tmp_path: Path) -> None:
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.crypto.test_outbox import ATTEMPT, BYTES, Outbox, Path, make
def dying():
    yield next(make())   # padded and encrypted ...
    os._exit(9)          # ... and gone before it was stored
Outbox(Path({str(tmp_path)!r}), BYTES).submission(ATTEMPT, dying)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    box = Outbox(tmp_path, BYTES)
    for ask in (lambda: box.find(ATTEMPT), lambda: box.submission(ATTEMPT, never)):
        with pytest.raises(IntegrityError, match="round 1, attempt 1: ciphertexts of this attempt are gone"):
            ask()
    assert box.submission(attempt((1, 2), number=2), make).count == 2


def test_removed_or_cut_bytes_refuse_the_attempt(tmp_path: Path) -> None:
    box = Outbox(tmp_path, BYTES)
    stored = box.submission(ATTEMPT, make).path
    os.truncate(stored, stored.stat().st_size - 1)
    with pytest.raises(IntegrityError, match="gone"):
        box.submission(ATTEMPT, never)
    stored.unlink()
    with pytest.raises(IntegrityError, match="gone"):
        box.submission(ATTEMPT, never)


def test_a_folder_that_is_put_back_under_a_process_makes_no_second_message(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box", BYTES)
    stored = box.submission(ATTEMPT, make).path
    for path in (stored, stored.with_suffix(".begun")):
        path.unlink()
    for ask in (lambda: box.find(ATTEMPT), lambda: box.submission(ATTEMPT, never)):
        with pytest.raises(IntegrityError, match="making them again would reuse a pad"):
            ask()
    assert Outbox(tmp_path / "box", BYTES).find(ATTEMPT) is None, "another process has other pads"


def test_one_cohort_per_attempt(tmp_path: Path) -> None:
    box = Outbox(tmp_path, BYTES)
    assert box.find(ATTEMPT) is None
    box.submission(ATTEMPT, make)
    with pytest.raises(ProtocolError, match="another cohort"):
        box.submission(attempt((1, 3)), never)


def test_an_error_while_encrypting_leaves_the_attempt_refused(tmp_path: Path) -> None:
    box = Outbox(tmp_path, BYTES)
    with pytest.raises(AssertionError):
        box.submission(ATTEMPT, never)
    with pytest.raises(IntegrityError, match="gone"):
        box.find(ATTEMPT)


def test_clear(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box", BYTES)
    box.submission(ATTEMPT, make)
    box.clear()
    assert not (tmp_path / "box").exists()
