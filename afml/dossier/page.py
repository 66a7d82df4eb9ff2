"""The page of a dossier: one file, no network, no script, no font; plain words first, every number with its ground.

It is a function of the statements alone, so whoever has these can make it again and compare.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN

from jinja2 import Environment, PackageLoader, StrictUndefined

from afml.core.simulation import SIMULATION
from afml.dossier.figures import figures
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.output import section
from afml.dossier.statements import Derived, InFile, LedgerLeaf, Statement, Statements, TranscriptLine, Value

PAGE = "dossier.html"


def page(statements: Statements) -> bytes:
    """dossier.html."""
    environment = Environment(
        loader=PackageLoader("afml.dossier"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"per100": per_hundred, "short": short, "down": down, "up": up, "ground": ground, "day": day}
    told = environment.get_template("dossier.html.j2").render(
        v=statements.value, s=statements, budgets=_groups(statements, "budget"), ledgers=_groups(statements, "ledger"),
        attacks=_attacks(statements), groups=_groups(statements, "group"),
        accountants=_groups(statements, "accountant"), enrolled=_enrolled(statements), simulation=SIMULATION,
        forms=section(fill_all(statements)),
    )  # fmt: skip
    return told.encode()


def per_hundred(share: Value, *, up: bool = False) -> str:
    """A share as so many in a hundred; `up` for what is said to be the most."""
    if not isinstance(share, int | float):
        return "unknown"
    return figures(100 * share, 3, ROUND_CEILING if up else ROUND_HALF_EVEN)


def down(value: Value) -> str:
    """What is left: never more than there is."""
    return figures(value, 4, ROUND_FLOOR) if isinstance(value, int | float) else short(value)


def up(value: Value) -> str:
    """What is spent, or the most: never less than it is."""
    return figures(value, 4, ROUND_CEILING) if isinstance(value, int | float) else short(value)


def short(value: Value) -> str:
    """A value as people read it: four figures of a number, commas in counts."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else value


def day(value: Value, *, milliseconds: bool = True) -> str:
    """A moment as a date."""
    if not isinstance(value, int | float):
        return "unknown"
    return datetime.fromtimestamp(value / (1000 if milliseconds else 1), UTC).strftime("%Y-%m-%d")


def ground(statement: Statement) -> str:
    """What a statement stands on, in a few words."""
    match statement.pointer:
        case LedgerLeaf(ledger, index, _, at):
            return f"ledger {ledger[:12]}, entry {index}, {at}"
        case TranscriptLine(file, line, _, at):
            return f"{file}, line {line}, {at}"
        case InFile(file, _, at):
            return f"{file}{at}" if at else f"{file}, its SHA-256"
        case Derived(rule, of):
            return f"{rule} of {', '.join(of[:3])}" + (f" and {len(of) - 3} more" if len(of) > 3 else "")


def _groups(statements: Statements, prefix: str) -> list[str]:
    """The different second parts of ids under a prefix, in order."""
    return list(dict.fromkeys(one.id.split(".")[1] for one in statements.under(prefix)))


def _attacks(statements: Statements) -> list[Statement]:
    left_out = ("attack.worst.", "attack.known_institution.")
    found = [one for one in statements.under("attack") if one.id.endswith(".rr") and not one.id.startswith(left_out)]
    return sorted(found, key=lambda one: -float(str(one.value)))


def _enrolled(statements: Statements) -> list[str]:
    return [one.id.rpartition(".")[2] for one in statements.under("run.enrolled")]
