"""The room that a run takes does not grow with its rounds, is stated, and is there before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.consortium import space
from afml.core.errors import ConfigError
from tests.aggregator.machine import small_run


def test_room_grows_with_nodes_and_parameters_and_not_with_rounds() -> None:
    few, many = (small_run(rounds=rounds, reserve_attempts=2) for rounds in (1, 200))
    assert space.node_bytes(few) == space.node_bytes(many)
    assert space.aggregator_bytes(few) == space.aggregator_bytes(many)
    update = space.largest_update(few)
    assert space.aggregator_bytes(few) == space.MARGIN + update * (len(few.nodes) + 3)
    assert space.node_bytes(few) == space.MARGIN + 2 * update + 3 * 8 * few.phases[0].parameters


def test_too_little_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "not" / "there"
    assert space.free_bytes(folder) > 0
    space.require_space(folder, 1)
    monkeypatch.setattr(space, "free_bytes", lambda _: 5_000_000)
    with pytest.raises(ConfigError, match="has 5 MB free on its disk, and this run needs 7 MB") as refused:
        space.require_space(folder, 7_000_000)
    assert "\n" not in str(refused.value)
    assert not folder.parent.exists()
