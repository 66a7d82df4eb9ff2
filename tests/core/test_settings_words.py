"""What is said of a file that is not as its reader expects: in plain words, with what was probably meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from afml.core.config import Settings
from afml.core.errors import InputError


class _Limits(Settings):
    per_run: float = 1.0


class _Policy(Settings):
    consortium: str
    lifetime: float = 1.0
    limits: _Limits = _Limits()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"consortium": "a", "lifetme": 2},
            "lifetme: is not known here; did you mean lifetime? Otherwise correct this key",
        ),
        ({"consortium": "a", "zzz": 2}, "zzz: is not known here; correct this key"),
        ({"consortium": "a", "limits": {"per_rum": 2}}, "limits.per_rum: is not known here; correct this key"),
        ({"lifetime": 2}, "consortium: is missing; correct this key"),
        (
            {"records": [], "made": "today"},
            "is another file than is asked for here: records is not known, and consortium is missing; "
            "give the right one, or correct these keys",
        ),
    ],
)
def test_each_is_one_plain_line(given: dict[str, object], line: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(given))
    with pytest.raises(InputError) as refused:
        _Policy.load(path)
    assert str(refused.value) == f"{path}: {line}"
