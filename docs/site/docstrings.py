"""Docstrings as the site shows them: an indented block below a paragraph is an example, and stands there as typed."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from sphinx.application import Sphinx

_INDENT = "    "


def with_examples(lines: Sequence[str]) -> Iterator[str]:
    """The same lines, with a directive above every example.

    A block is one where a blank line parts it from a paragraph at the margin: sections (`Args:`) have none below their
    title.

    Args:
        lines: Of a docstring, without the indentation that all have.
    """
    said, at = "", 0  # the last line that is not blank
    while at < len(lines):
        end = at + 1
        if lines[at].startswith(_INDENT) and at and not lines[at - 1] and said and not said[0].isspace():
            while end < len(lines) and (not lines[end] or lines[end].startswith(_INDENT)):
                end += 1
            yield from (f".. code-block:: {_language(lines[at:end])}", "")
        yield from lines[at:end]
        said = next((line for line in reversed(lines[at:end]) if line), said)
        at = end


def _language(block: Sequence[str]) -> str:
    try:
        ast.parse(textwrap.dedent("\n".join(block)))
    except SyntaxError:
        return "text"
    return "python"


def _process(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    lines[:] = list(with_examples(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx; before napoleon, which makes of sections what is indented too."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}
