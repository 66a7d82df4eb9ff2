"""Text of a ledger, a peer or a file is shown as text: never markup, never a command to the terminal."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from afml.core import logging as logs
from afml.core.errors import AfmlError, ProtocolError
from afml.core.plain import plain, plain_line
from afml.core.progress import Event, PlainConsole, Step, console, text_of

HOSTILE = (
    "[bold red]nothing found[/] \x1b[2J\x1b]0;owned\x07 \u202egnp\u2069 :skull: [link=http://x]y[/link] \x9b31m a\\[b]"
)


def _shown(draw: object, **how: object) -> str:
    out = io.StringIO()
    PlainConsole(file=out, force_terminal=True, width=300, highlight=False, **how).print(draw)  # type: ignore[arg-type]
    return out.getvalue()


@given(st.text())
def test_nothing_that_acts_is_left(text: str) -> None:
    for shown in (plain(text), plain_line(text)):
        acting = [c for c in shown if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") and c != "\n"]
        assert not acting
        assert not any(unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
                       for c in shown)  # fmt: skip
        assert plain(shown) == shown
    assert "\n" not in plain_line(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u2028\u2029")))
def test_writing_of_any_language_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_the_console_shows_markup_and_controls_wherever_they_stand() -> None:
    wanted = plain(HOSTILE)
    assert wanted in _shown(HOSTILE)
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE)
    shown = _shown(table)
    assert shown.count("[bold red]nothing found[/]") == 4
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert ":skull:" in shown
    assert isinstance(console, PlainConsole)


def test_markup_cannot_be_switched_on_again() -> None:
    out = io.StringIO()
    PlainConsole(file=out, force_terminal=True, width=300, markup=True, emoji=True, highlight=False).print(
        HOSTILE, markup=True
    )
    assert plain(HOSTILE) in out.getvalue()


def test_a_bar_shows_what_it_is_told() -> None:
    from rich.progress import Progress, TextColumn

    out = PlainConsole(file=io.StringIO(), force_terminal=True, width=300)
    with Progress(TextColumn("{task.description}", markup=False), console=out) as progress:
        step = Step("federate", None, progress)
        step.note(HOSTILE)
        assert progress.tasks[0].description == plain_line(f"federate: {HOSTILE}")


def test_a_reason_from_the_aggregator_is_one_line_of_text() -> None:
    error = ProtocolError(f"{HOSTILE}\nafml: all is well", where="run \x1b[1m", cure="ask\x07")
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert "\x07" not in str(error)
    assert error.problem.startswith("[bold red]nothing found[/]")
    assert text_of(Event("finished", text=HOSTILE + "\nmore")).endswith("\\nmore")
    assert str(AfmlError("plain")) == "plain"


def test_a_log_on_a_terminal_shows_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    try:
        logs.configure("node-1")
        logs.get_logger().warning("attempt declined", problem=HOSTILE, run="\x1b]0;owned\x07")
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    assert "\x1b]" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert json.dumps("\x1b") == '"\\u001b"'  # what JSON logs and --events do with one
