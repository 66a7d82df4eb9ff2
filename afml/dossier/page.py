"""The page of a dossier: one file, no network, no script, no font; plain words first, every number with its ground.

It is a function of the statements alone, so whoever has these can make it again and compare.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from afml.core.simulation import SIMULATION
from afml.dossier.design import DESIGN, MARK, marked
from afml.dossier.figures import figures, in_words, moment, one_or_more
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.output import section
from afml.dossier.stacked import labelled
from afml.dossier.statements import Derived, InFile, LedgerLeaf, Statement, Statements, TranscriptLine, Value

PAGE = "dossier.html"
NOBODY = 0.99
"""A limit that lets an attacker be right this often protects nobody, and the page says so."""
_BLIND = 0.5  # AUC of a blind guess
_MONTH_MS = 30 * 86_400_000
_KINDS = ("policy", "release", "publication", "audit", "reassessment", "withdrawal", "closing")


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
    filled = fill_all(statements)
    cited = {one.id for form in filled for answer in form.answers for one in answer.stands_on}

    def refs(*names: str) -> Markup:
        """Numbers of the statements that a sentence or a row rests on, as links."""
        link = Markup('<a href="#{}">{}</a>')
        cited.update(names)
        links = [link.format(name, numbers[name]) for name in names if name in numbers]
        return Markup('<span class="refs">[{}]</span>').format(Markup(" ").join(links)) if links else Markup()

    publications = _entries(statements, "publication", "manifest")
    budgets = _in_order(statements, "budget")
    told = environment().get_template("dossier.html.j2").render(
        v=statements.value, s=statements, budgets=budgets, ledgers=_in_order(statements, "ledger"),
        attacks=_attacks(statements), others=_groups(statements, "baseline"), groups=_groups(statements, "group"),
        disclosed=_groups(statements, "disclosure"), relatives=_groups(statements, "relatives"),
        populations=_groups(statements, "population"),
        accountants=[one for one in _groups(statements, "accountant") if one != "difference"],
        enrolled=_last(statements, "run.enrolled"), guesses=_last(statements, "audit.guesses"),
        tried=lambda of: ", ".join(_tried(statements, of)), strongest=_strongest(statements),
        full=_full(statements, budgets), chance=_chance(statements), better=_better(statements),
        shown=_last(statements, "genotype.shown"),
        worst_known=_worst_known(statements),
        aucs=[one for one in statements if re.fullmatch(r"group\.[^.]+\.auc", one)],
        best_raw=[one for one in statements if re.fullmatch(r"disclosure\.[^.]+\.best_raw_auc", one)],
        power=_last(statements, "audit.power"), nobody=NOBODY,
        endless=sorted({_endless(statements, f"budget.{one}") for one in budgets}), policies=_policies(statements),
        took_part=_entries(statements, "overlap", "people"), later=_later(statements),
        pooled=statements.value("report.scope") != "own" and statements.value("report.institutions") not in (None, 1),
        asked_rr=any(one.id.endswith(".asked.re-identification-rate") for one in statements.values()),
        audits=_entries(statements, "audit", "audited_ple"), released=_entries(statements, "release", "file_digest"),
        publications=publications,
        published={(one.split(".")[1], statements.value(f"{one}.release")) for one in publications},
        # What no sentence says: it is asked for after all that cite it but the forms.
        design=lambda: {name: one for name, one in DESIGN.items() if f"design.{name}" in cited & {*statements}},
        mark=MARK, ends=_ends(statements),
        stated=_stated(statements), simulation=SIMULATION, refs=refs,
        used=" ".join(f"{one.words} {one.value}" for one in statements.values()).lower(), numbers=numbers,
        forms=section(filled, numbers),
    )  # fmt: skip
    return labelled(told).encode()


def per_hundred(share: Value, *, up: bool = False, down: bool = False) -> str:
    """A share as so many in a hundred; `up` for what is said to be the most, `down` for the least."""
    if not isinstance(share, int | float):
        return "unknown"
    return figures(share, 3, ROUND_CEILING if up else ROUND_FLOOR if down else ROUND_HALF_EVEN, places=2)


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


def _in_order(statements: Statements, prefix: str) -> list[str]:
    """Ledgers or enrolments, in the order in which the roster has their institutions."""
    names = [one.value for one in statements.under("institution") if one.id.endswith(".name")]
    whose = {one: statements.value(f"{prefix}.{one}.institution") for one in _groups(statements, prefix)}
    return sorted(whose, key=lambda one: names.index(whose[one]) if whose[one] in names else len(names))


def _endless(statements: Statements, budget: str) -> str:
    """Why nothing tells when a budget ends."""
    first, last = (statements.value(f"{budget}.{end}_spend") for end in ("first", "last"))
    if f"{budget}.limit" in statements and statements[f"{budget}.limit"].unit == "epsilon":
        return "the limit is an epsilon, which does not add up so"
    if isinstance(first, int) and isinstance(last, int) and last - first >= _MONTH_MS:
        return "what is left would last a century"
    return "its spends lie less than 30 days apart"


def _policies(statements: Statements) -> list[tuple[str, set[str], list[str]]]:
    """What the newest policy of each ledger asks: words, the different values, ids."""
    found: dict[str, tuple[set[str], list[str]]] = {}
    newest = {name.split(".")[1]: name for name in _entries(statements, "policy", "approval")}
    for one in (one for name in newest.values() for one in statements.under(name)):
        values, ids = found.setdefault(one.words, (set(), []))
        values.add(in_words(one))
        ids.append(one.id)
    return [(words, values, ids) for words, (values, ids) in found.items()]


def _later(statements: Statements) -> dict[str, list[str]]:
    """Ledger -> what stands in its entries after the newest that anybody else has countersigned."""
    found: dict[str, list[str]] = {}
    for ledger in _groups(statements, "ledger"):
        sizes = [one.value for one in statements.under(f"ledger.{ledger}.countersigned_at")]
        covered = max((size for size in sizes if isinstance(size, int)), default=0)
        ids = [one.id.split(".")[2:] for one in statements.under(f"ledger.{ledger}")]
        entries = {(int(parts[1]), parts[0]) for parts in ids if parts[0] in _KINDS}
        found[ledger] = [f"{kind} (entry {index})" for index, kind in sorted(entries) if index >= covered]
    return found


def _stated(statements: Statements) -> dict[str, set[Value]]:
    """Package -> digests of its source that institutions stated when they set their plans aside."""
    found: dict[str, set[Value]] = {}
    for one in statements.under("run.code"):
        found.setdefault(one.id.split(".")[2], set()).add(one.value)
    return found


def _entries(statements: Statements, kind: str, field: str) -> list[str]:
    """Ids of the entries of a kind in ledgers, "ledger.NAME.KIND.INDEX", that say a field."""
    order = _in_order(statements, "ledger")
    ids = [one.id for one in statements.under("ledger") if one.id.endswith(f".{field}")]
    its = sorted(ids, key=lambda name: order.index(name.split(".")[1]))
    return [name.removesuffix(f".{field}") for name in its if name.split(".")[2] == kind]


def _attacks(statements: Statements) -> list[Statement]:
    left_out = ("attack.worst.", "attack.known_institution.")
    found = [one for one in statements.under("attack") if one.id.endswith(".rr") and not one.id.startswith(left_out)]
    return sorted(found, key=lambda one: -float(str(one.value)))


def _tried(statements: Statements, prefix: str) -> list[str]:
    """Names of the attacks that were run on something."""
    return [one.words.removeprefix("the same by attack ") for one in statements.under(f"{prefix}.by")]


def _strongest(statements: Statements) -> Statement | None:
    """The largest bound from below that a ledger records."""
    ids = _entries(statements, "audit", "audited_ple")
    return max((statements[f"{one}.audited_ple"] for one in ids), key=lambda one: float(str(one.value)), default=None)


def _full(statements: Statements, budgets: list[str]) -> str | None:
    """The most that is left of any budget, where that is less than what is taken of each; all in sigma."""
    left = [statements.get(f"budget.{one}.left") for one in budgets]
    if not left or not all(one and one.unit == "sigma" and isinstance(one.value, int | float) for one in left):
        return None
    taken = [float(str(statements.value(f"budget.{one}.committed") or 0.0)) for one in budgets]
    most = max((one for one in left if one), key=lambda one: float(str(one.value)))
    return most.id if float(str(most.value)) < min(taken) else None


def _chance(statements: Statements) -> dict[str, float | None] | None:
    """What a blind guess, an AUC of 0.5, reaches of the usefulness of raw genotypes, and the best of them without it.

    None where the ratio is not that of the two AUCs: of several phenotypes, or of a trait.
    """
    names = "utility.released", "utility.raw", "utility.ratio", "utility.ratio_corrected"
    released, raw, ratio, corrected = (statements.value(name) for name in names)
    if not all(isinstance(one, float) for one in (released, raw, ratio, corrected)):
        return None
    released, raw, ratio = float(str(released)), float(str(raw)), float(str(ratio))
    if raw <= _BLIND or abs(released / raw - ratio) > 1e-9:
        return None
    over = statements.value("utility.ratio_vs_best_raw")
    best = released / over if isinstance(over, float) and over else 0.0
    return {"blind": _BLIND / raw, "best": (released - _BLIND) / (best - _BLIND) if best > _BLIND else None}


def _ends(statements: Statements) -> list[tuple[str, str]]:
    """Figures whose two ends by the verifier's own arithmetic are said: in words, and their id."""
    of = {
        "spent_ple": "spent, PLE in sigma", "spent_epsilon": "spent, epsilon",
        "broken_ple": "spent if updates were read, PLE in sigma",
        "drawn_ple": "spent if draws were known, PLE in sigma",
        "committed_ple": "taken, in sigma",
    }  # fmt: skip
    return [(words, one) for name, words in of.items() if f"{(one := 'ends.' + name)}_high" in statements]


def _better(statements: Statements) -> list[str]:
    """Other ways of release with a smaller rate and no smaller ratio of usefulness, in words."""
    rr, ratio = statements.value("attack.worst.rr"), statements.value("utility.ratio")
    if not isinstance(rr, int | float) or not isinstance(ratio, int | float):
        return []
    found = []
    for one in _groups(statements, "baseline"):
        its, useful = (statements.value(f"baseline.{one}.{field}") for field in ("rr", "ratio"))
        if isinstance(its, int | float) and isinstance(useful, int | float) and its < rr and useful >= ratio:
            found.append(statements[f"baseline.{one}.rr"].words)
    return found


def _worst_known(statements: Statements) -> str | None:
    """The group whose rate is the worst where the institution is known."""
    worst = statements.value("groups.worst_known")
    its = [
        one.id.split(".")[1] for one in statements.under("group") if one.id.endswith(".rr_known") and one.value == worst
    ]
    return its[0].replace("-", " ") if worst is not None and its else None


def _last(statements: Statements, prefix: str) -> list[str]:
    """The last parts of ids under a prefix, in order."""
    return [one.id.rpartition(".")[2] for one in statements.under(prefix)]
