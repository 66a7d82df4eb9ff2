"""Notebooks as pages of the site: their text, their code and what it printed, as they are stored; nothing is executed.

`tests/api/test_notebooks.py` executes them. What no page can show here - a picture, a table in HTML - is an error of
the build, so that nothing is lacking in silence. `nbformat` is installed for the tests already; a plug-in that could
execute notebooks as well (myst-nb) would bring many more packages into the lock file.
"""

from __future__ import annotations

import re
from typing import Any

import nbformat
from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


class NotebookParser(MystParser):
    """Reads a notebook as the Markdown page that `page` makes of it."""

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """See `MystParser.parse`."""
        super().parse(page(nbformat.reads(inputstring, as_version=4)), document)


def page(book: nbformat.NotebookNode) -> str:
    """A notebook as Markdown.

    Raises:
        ExtensionError: It holds something else than text, code, and text that was printed.
    """
    parts: list[str] = []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.append(_fenced(cell.source, "python"))
            parts += [_fenced(_text(output).rstrip("\n"), "text") for output in cell.outputs]
        else:
            raise ExtensionError(f"a notebook has a cell of kind {cell.cell_type}, which no page shows")
    return "\n\n".join(parts) + "\n"


def _text(output: nbformat.NotebookNode) -> str:
    """What one output shows."""
    if output.output_type == "stream":
        return str(output.text)
    data = output.get("data", {})
    if set(data) != {"text/plain"}:
        raise ExtensionError(f"a notebook's output is {output.output_type} ({', '.join(data)}), which no page shows")
    return str(data["text/plain"])


def _fenced(text: str, language: str) -> str:
    """A block of code, in a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the suffix."""
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True}
