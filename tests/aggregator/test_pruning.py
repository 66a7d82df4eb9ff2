"""What stays of a run that is over: nothing that nobody asks for any more, and all of it while somebody may ask."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.makers import PUBLIC_PART, RUN_KEY
from afml.consortium.overlap import OWN, size_of
from aggregator.letters import Letters
from aggregator.pruning import prune
from aggregator.run import ServedRun
from aggregator.store.base import InPlace, Lost
from tests.aggregator.test_letters import read, send, written
from tests.aggregator.test_publishing import Scene

KEYS, HEADS = b"keys of the run" * 100, b"a head"


class Over(Scene):
    """Two rounds of four nodes, with letters, of which three nodes have reported their model."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.machine.enrol()
        self.letters = Letters(self.run)
        points = bytes(size_of(self.machine.config.enrolled[1]))
        for subject, common in ((RUN_KEY, KEYS), (PUBLIC_PART, KEYS), (OWN, points), ("hello", HEADS)):
            send(self.letters, written(self.machine, common, subject=subject), common)
        self.play()
        self.play()
        for node in (1, 2, 3):
            self.machine.report(node, 2)

    def prune(self) -> None:
        asyncio.run(prune(self.run, self.letters))

    def held(self, subject: str) -> bytes:
        """What node 2 is given."""
        (given,) = read(self.letters, 2, 1, subject=subject).values()
        return given[1]

    @property
    def files(self) -> int:
        return len(list(self.run.folder.letters.iterdir()))


@pytest.fixture
def over(tmp_path: Path) -> Any:
    made = Over(tmp_path)
    yield made
    made.machine.store.close()


def test_all_of_it_stays_while_somebody_has_not_said_which_model_it_holds(over: Over) -> None:
    over.prune()
    assert (over.sums, over.files, over.held(RUN_KEY)) == (["round-2-1"], 4, KEYS)


@pytest.mark.parametrize("how", ["reports", "leaves"])
def test_sums_and_long_letters_go_when_everybody_has_the_model(over: Over, how: str) -> None:
    assert over.held(RUN_KEY) == KEYS, "its header is at hand by now"
    over.machine.report(4, 2) if how == "reports" else over.machine.leave(4)
    over.prune()
    assert (over.sums, over.files) == ([], 1)
    assert over.held("hello") == HEADS, "peers vouch for each other's ledgers by it"
    assert [over.held(subject) for subject in (RUN_KEY, PUBLIC_PART, OWN)] == [b"", b"", b""]
    over.letters.clear()
    over.prune()
    assert over.files == 1


def test_of_a_run_that_failed_nobody_needs_letters_and_a_sum_may_be_evidence(tmp_path: Path) -> None:
    scene = Over(tmp_path)
    scene.machine.report(4, 2, b"another")
    assert scene.machine.at[0] == "failed"
    scene.prune()
    assert (scene.sums, scene.files) == (["round-2-1"], 1)
    scene.machine.store.close()


class Away(InPlace):
    """Copies in a database that cannot be reached."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def drop(self, unwanted: object) -> None:
        raise self.error


@pytest.mark.parametrize("error", [OSError(errno.EIO, "away"), Lost(errno.EIO, "another process has taken the run on")])
def test_files_stay_as_long_as_copies_of_them_cannot_be_removed(
    over: Over, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    over.machine.report(4, 2)
    with monkeypatch.context() as patch:
        patch.setattr(over.machine.store, "term", 1)
        patch.setattr(over.machine.store, "files", Away(error))
        if isinstance(error, Lost):
            with pytest.raises(Lost):
                over.prune()
        else:
            over.prune()
        assert (over.sums, over.files, over.held(RUN_KEY)) == (["round-2-1"], 4, KEYS)
    over.prune()
    assert (over.sums, over.files) == ([], 1)


def test_names_of_sums_say_their_round(over: Over) -> None:
    run: ServedRun = over.run
    for name in ("round-2-10", "round-10-2", "round-1-1.part0"):
        (run.folder.root / "sums" / name).touch()
    assert asyncio.run(run.clear_sums(before=2))
    assert over.sums == ["round-10-2", "round-2-1", "round-2-10"]
