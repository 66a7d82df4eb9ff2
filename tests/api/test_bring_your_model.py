"""docs/BRING_YOUR_MODEL.md, followed by somebody with a model and a CSV: its files, its commands, what they print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from afml.training.foreign import sandbox
from afml.training.model import ArrayModel
from tests.processes import REPOSITORY
from tests.terminal import Terminal

PAGE = REPOSITORY / "docs" / "BRING_YOUR_MODEL.md"

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not sandbox.available(), reason="no Landlock: other packages' tasks are not started"),
]


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path / "empty")
    made.folder.mkdir()
    yield made
    made.stop()


def test_a_stranger_gets_from_a_model_and_a_csv_to_a_verified_run(stranger: Terminal) -> None:
    stranger.follow(PAGE.read_text(encoding="utf-8"))
    saved = [ArrayModel.load(stranger.folder / one / "work" / "models" / "first") for one in "abc"]
    assert len({model.digest() for model in saved}) == 1
    exported = torch.load(stranger.folder / "heart.pt", weights_only=True)
    assert set(exported) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    lines = (stranger.folder / "predicted.tsv").read_text().splitlines()
    assert len(lines) > 400


def test_what_an_author_writes_beside_the_model_is_short() -> None:
    source = PAGE.read_text(encoding="utf-8").partition("title=heart/heart.py\n")[2].partition("```")[0]
    assert len([line for line in source.splitlines() if line.strip()]) <= 30
