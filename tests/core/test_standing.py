"""A standing is replaced whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from afml.core.standing import Standing

ONE = Standing(consortium="c", version="1", started=1.0, written=2.0, certificate_expires=3.0)


@pytest.mark.parametrize("met", [KeyboardInterrupt, OSError])
def test_nothing_half_written_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, met: type[BaseException]
) -> None:
    ONE.keep(tmp_path)

    def stopped(*_: object) -> None:
        raise met

    monkeypatch.setattr(os, "replace", stopped)
    if met is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            ONE.model_copy(update={"written": 9.0}).keep(tmp_path)
    else:
        ONE.model_copy(update={"written": 9.0}).keep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [Standing.file]
    assert Standing.found(tmp_path) == ONE
