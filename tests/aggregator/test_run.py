"""The folder of a run: what of it a process believes that opens a store which others may have opened meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.core.errors import ConfigError
from aggregator.run import Folder


def _filled(root: Path) -> Folder:
    folder = Folder(root)
    for path in (folder.letters / "1-ab", root / "sums" / "round-1-1", root / "uploads" / "round-2-1" / "1"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of this machine")
    folder.transcript.write_bytes(b"a line\n")
    return folder


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


ALL = ["letters/1-ab", "sums/round-1-1", "term", "transcript.jsonl", "uploads/round-2-1/1"]


def test_the_folder_of_the_term_before_is_believed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.claim(1)
    _filled(tmp_path)
    folder.claim(2)
    folder.claim(3)
    assert _files(tmp_path) == ALL
    assert (tmp_path / "term").read_text() == "3"


@pytest.mark.parametrize("served_at", [0, 1, 7])
def test_any_other_is_cleared_and_its_transcript_put_aside(tmp_path: Path, served_at: int) -> None:
    folder = _filled(tmp_path)
    if served_at:
        (tmp_path / "term").write_text(str(served_at))
    folder.claim(3)
    assert _files(tmp_path) == ["term", "transcript-until-3.jsonl"]
    assert (tmp_path / "transcript-until-3.jsonl").read_bytes() == b"a line\n"


def test_a_store_in_the_folder_needs_no_term(tmp_path: Path) -> None:
    _filled(tmp_path).claim(0)
    assert _files(tmp_path) == [name for name in ALL if name != "term"]


def test_a_run_that_was_begun_in_the_folder_is_not_given_to_a_database(tmp_path: Path) -> None:
    folder = _filled(tmp_path)
    folder.store.touch()
    with pytest.raises(ConfigError, match="kept in this folder; go on without --store"):
        folder.claim(1)
    assert len(_files(tmp_path)) == 5
