"""Staged files are whole or absent; secrets are private; record files notice truncation."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError, IntegrityError
from afml.core.files import read_secret, require_private, staged_file, staged_folder, write_bytes, write_secret
from afml.core.recordfile import read_records, write_records


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    target = tmp_path / "a b" / "file"
    write_bytes(target, b"old")
    with pytest.raises(RuntimeError), staged_file(target) as staged:
        staged.write_bytes(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert [p.name for p in target.parent.iterdir()] == ["file"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "store"
    with staged_folder(target) as staged:
        (staged / "x").write_text("1")
    with pytest.raises(RuntimeError), staged_folder(target) as staged:
        (staged / "x").write_text("2")
        raise RuntimeError
    assert (target / "x").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_secrets_are_private_and_wide_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_secret(path, b"k")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        read_secret(path)


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_records_round_trip_and_slices(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("r") / "records"
    assert write_records(path, records) == len(records)
    assert list(read_records(path)) == records
    start = data.draw(st.integers(0, len(records)))
    stop = data.draw(st.integers(start, len(records)))
    assert list(read_records(path, start, stop)) == records[start:stop]


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.data())
def test_every_truncation_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("r") / "records"
    write_records(path, records)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(IntegrityError):
        list(read_records(path))


def test_a_staged_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "store"):
        pass
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o720, 0o740, 0o755, 0o777])
def test_a_folder_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "work"
    assert require_private(folder) == folder  # not there yet: whoever makes it makes it private
    folder.mkdir(mode=0o700)
    assert require_private(folder) == folder
    folder.chmod(mode)
    with pytest.raises(InputError, match=f"open to others \\(mode {mode:04o}\\); chmod 700"):
        require_private(folder)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: is a folder; name a file"):
        write_bytes(tmp_path, b"x")
