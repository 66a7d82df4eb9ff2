"""The page of a dossier: one file, no network, no script, no font; plain words first, every number with its ground.

It is a function of the statements alone, so whoever has these can make it again and compare.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from afml.core.simulation import SIMULATION
from afml.dossier.design import DESIGN, MARK, marked
from afml.dossier.figures import figures, in_words, moment, one_or_more
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.output import section
from afml.dossier.statements import Derived, InFile, LedgerLeaf, Statement, Statements, TranscriptLine, Value

PAGE = "dossier.html"
NOBODY = 0.99
"""A limit that lets an attacker be right this often protects nobody, and the page says so."""


def environment() -> Environment:
    """Templates of this folder, and how they write values."""
    made = Environment(
        loader=PackageLoader("afml.dossier"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "per100": per_hundred, "short": short, "down": down, "up": up, "ground": ground, "moment": moment,
        "whole": lambda one: in_words(one, whole=True), "units": one_or_more, "marked": marked,
    }  # fmt: skip
    return made


def page(statements: Statements) -> bytes:
    """dossier.html."""
    numbers = {name: number for number, name in enumerate(statements, 1)}

    def refs(*names: str) -> Markup:
        """Numbers of the statements that a sentence or a row rests on, as links."""
        link = Markup('<a href="#{}">{}</a>')
        links = [link.format(name, numbers[name]) for name in names if name in numbers]
        return Markup('<span class="refs">[{}]</span>').format(Markup(" ").join(links)) if links else Markup()

    publications = _entries(statements, "publication", "manifest")
    told = environment().get_template("dossier.html.j2").render(
        v=statements.value, s=statements, budgets=_groups(statements, "budget"), ledgers=_groups(statements, "ledger"),
        attacks=_attacks(statements), others=_groups(statements, "baseline"), groups=_groups(statements, "group"),
        disclosed=_groups(statements, "disclosure"), relatives=_groups(statements, "relatives"),
        populations=_groups(statements, "population"),
        accountants=[one for one in _groups(statements, "accountant") if one != "difference"],
        enrolled=_last(statements, "run.enrolled"), power=_last(statements, "audit.power"), nobody=NOBODY,
        audits=_entries(statements, "audit", "audited_ple"), released=_entries(statements, "release", "file_digest"),
        publications=publications,
        published={(one.split(".")[1], statements.value(f"{one}.release")) for one in publications},
        design={name: one for name, one in DESIGN.items() if f"design.{name}" in statements}, mark=MARK,
        stated=_stated(statements), simulation=SIMULATION, refs=refs, numbers=numbers,
        forms=section(fill_all(statements), numbers),
    )  # fmt: skip
    return told.encode()


def per_hundred(share: Value, *, up: bool = False, down: bool = False) -> str:
    """A share as so many in a hundred; `up` for what is said to be the most, `down` for the least."""
    if not isinstance(share, int | float):
        return "unknown"
    return figures(100 * share, 3, ROUND_CEILING if up else ROUND_FLOOR if down else ROUND_HALF_EVEN)


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


def ground(statement: Statement, numbers: dict[str, int]) -> str:
    """What a statement stands on, in a few words; other statements by their numbers."""
    match statement.pointer:
        case LedgerLeaf(ledger, index, _, at):
            return f"ledger {ledger[:12]}, entry {index}, {at}"
        case TranscriptLine(file, line, _, at):
            return f"{file}, line {line}, {at}"
        case InFile(file, _, at):
            return f"{file}{at}" if at else f"{file}, its SHA-256"
        case Derived(rule, of):
            return f"{rule.replace('_', ' ')} of {', '.join(str(numbers[one]) for one in of)}"


def _groups(statements: Statements, prefix: str) -> list[str]:
    """The different second parts of ids under a prefix, in order."""
    return list(dict.fromkeys(one.id.split(".")[1] for one in statements.under(prefix)))


def _stated(statements: Statements) -> dict[str, set[Value]]:
    """Package -> digests of its source that institutions stated when they set their plans aside."""
    found: dict[str, set[Value]] = {}
    for one in statements.under("run.code"):
        found.setdefault(one.id.split(".")[2], set()).add(one.value)
    return found


def _entries(statements: Statements, kind: str, field: str) -> list[str]:
    """Ids of the entries of a kind in ledgers, "ledger.NAME.KIND.INDEX", that say a field."""
    ids = [one.id for one in statements.under("ledger")]
    return [name.removesuffix(f".{field}") for name in ids if name.split(".")[2] == kind and name.endswith(f".{field}")]


def _attacks(statements: Statements) -> list[Statement]:
    left_out = ("attack.worst.", "attack.known_institution.")
    found = [one for one in statements.under("attack") if one.id.endswith(".rr") and not one.id.startswith(left_out)]
    return sorted(found, key=lambda one: -float(str(one.value)))


def _last(statements: Statements, prefix: str) -> list[str]:
    """The last parts of ids under a prefix, in order."""
    return [one.id.rpartition(".")[2] for one in statements.under(prefix)]
