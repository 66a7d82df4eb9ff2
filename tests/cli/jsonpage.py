"""Keys that docs/JSON.md promises of a verb."""

from __future__ import annotations

import re

from tests.processes import REPOSITORY

PAGE = REPOSITORY / "docs" / "JSON.md"


def keys(verb: str) -> set[str]:
    """Of the outermost object, or of each element of a list: all in backquotes outside brackets."""
    (cell,) = re.findall(rf"^\| `afml {verb}` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    return set(re.findall(r"`([a-z_]+)`", re.sub(r"\([^()]*\)", "", cell.partition("; with `--")[0])))
