"""Pages and their sections. A section is a template and what fills it; a page is a line of the table below.

Sections are what is sent again when something has changed, so each is filled by itself and an error stays within it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from afml.console import drawing, papers
from afml.console.books import Books
from afml.console.budgets import bars, least_left
from afml.console.history import took_part
from afml.console.view import REFUSED, WAITS, View
from afml.consortium.kit import load_roster
from afml.core.bounded import at_least, at_most
from afml.core.errors import AfmlError
from afml.ledger.findings import CODES
from afml.ledger.told import iso
from afml.operate.told import clock
from afml.operate.words import duration, size
from afml.privacy.odds import OF

LAST = 20
"""Rounds that a run's own page lists."""


@dataclass
class Shown:
    """What sections are filled from.

    Attributes:
        view: The party's things.
    """

    view: View

    @cached_property
    def books(self) -> Books | None:
        """Of the institution; None at an aggregator, and where no kit gives the keys."""
        kit, ledger = self.view.named.kit, self.view.ledger()
        return Books(ledger, kit, self.view.named.transcripts) if kit is not None and ledger is not None else None

    @cached_property
    def who(self) -> str:
        """Whose page it is."""
        kit, nodes = self.view.named.kit, self.view.nodes()
        roster = load_roster(kit) if kit is not None else None
        if nodes:
            name = roster.names.get(nodes[0].node, "") if roster else ""
            return name or f"node {nodes[0].node}"
        return "aggregator"

    @cached_property
    def consortium(self) -> str:
        """Of the kit, or of a run that is served."""
        kit, served = self.view.named.kit, self.view.aggregators()
        return load_roster(kit).consortium if kit is not None else served[0].standing.consortium if served else ""


Context = dict[str, object]
Fill = Callable[[Shown, str], Context]


def _runs(shown: Shown, _: str) -> Context:
    view = shown.view
    waiting = [] if not hasattr(view.status(), "works") else [
        one for one in view.status().standing.runs if one.state != "running"  # type: ignore[union-attr]
    ]  # fmt: skip
    return {"served": view.aggregators(), "nodes": view.nodes(), "waiting": waiting}


def _approvals(shown: Shown, _: str) -> Context:
    return {"offered": shown.view.on_offer(), "waits": WAITS, "refused": REFUSED}


def _glance(shown: Shown, _: str) -> Context:
    summary = shown.view.summary()
    return {
        "least": least_left(bars(summary)) if summary is not None else None,
        "people": not shown.view.serves,
        "verified": shown.books.state() if shown.books is not None and summary is not None else None,
        "certificates": papers.certificates(shown.view),
        "entries": summary.entries if summary is not None else 0,
    }


def _run(shown: Shown, run: str) -> Context:
    rounds = shown.view.rounds(run)
    served = next((one for one in shown.view.aggregators() if one.standing.run == run), None)
    part = next((part for node in shown.view.nodes() for part in node.parts if part.run == run), None)
    return {"run": run, "served": served, "part": part, "done": len(rounds)}


def _members(shown: Shown, run: str) -> Context:
    context, rounds = _run(shown, run), shown.view.rounds(run)
    counts, served, part = took_part(rounds), context["served"], context["part"]
    planned = len(rounds)
    if served is not None:
        standing = served.standing  # type: ignore[attr-defined]
        planned, names = standing.rounds, {node.node: node for node in standing.nodes}
    else:
        planned = part.standing.rounds if part is not None and part.standing is not None else planned  # type: ignore[attr-defined]
        kit = shown.view.named.kit
        known = load_roster(kit).names if kit is not None else {}
        names = {
            node: SimpleNamespace(name=known.get(node, ""), state="", awaited=False, absent=None) for node in counts
        }
    rows = [
        {"node": node, "about": about, "count": counts.get(node, 0), "strip": drawing.strip(rounds, node, planned)}
        for node, about in sorted(names.items())
    ]
    return {"rows": rows, "done": len(rounds), "planned": planned}


def _last_rounds(shown: Shown, run: str) -> Context:
    rounds = shown.view.rounds(run)
    return {"run": run, "rounds": rounds[: -LAST - 1 : -1], "done": len(rounds), "whole": False}


def _all_rounds(shown: Shown, run: str) -> Context:
    rounds = shown.view.rounds(run)
    return {"run": run, "rounds": rounds[::-1], "done": len(rounds), "whole": True}


def _budgets(shown: Shown, _: str) -> Context:
    summary = shown.view.summary()
    return {"summary": summary, "bars": bars(summary) if summary is not None else (), "of": OF}


def _ledger(shown: Shown, _: str) -> Context:
    summary = shown.view.summary()
    state = shown.books.state() if shown.books is not None and summary is not None else None
    return {"summary": summary, "verified": state, "keys": shown.books is not None, "codes": CODES}


def _releases(shown: Shown, _: str) -> Context:
    summary = shown.view.summary()
    found = papers.releases(summary) if summary is not None else ()
    again = summary.lines("publication", "reassessment") if summary is not None else ()
    return {"releases": found, "again": again}


def _frontier(shown: Shown, _: str) -> Context:
    return {"measured": papers.measured(shown.view.named.reports)}


def _quality(shown: Shown, _: str) -> Context:
    return {"found": papers.qualities(shown.view)}


def _certificates(shown: Shown, _: str) -> Context:
    return {"certificates": papers.certificates(shown.view), "kit": shown.view.named.kit is not None}


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        path: Below the root; of a run's page, what follows its name.
        title: In the menu.
        sections: Name of its template and what fills it, from top to bottom.
        people: It is about an institution's people; an aggregator has none.
        live: Sections are sent again when they change.
    """

    path: str
    title: str
    sections: tuple[tuple[str, Fill], ...]
    people: bool = False
    live: bool = True


PAGES = (
    Page("/", "Runs", (("glance", _glance), ("approvals", _approvals), ("runs", _runs))),
    Page("/budgets", "Budgets", (("budgets", _budgets),), people=True),
    Page("/ledger", "Ledger", (("ledger", _ledger),), people=True),
    Page("/releases", "Releases", (("releases", _releases), ("frontier", _frontier)), people=True),
    Page("/quality", "Quality", (("quality", _quality),), people=True, live=False),
    Page("/certificates", "Certificates", (("certificates", _certificates),)),
)
RUN_PAGES = (
    Page("", "Run", (("run", _run), ("members", _members), ("rounds", _last_rounds))),
    Page("/rounds", "Rounds", (("rounds", _all_rounds),), live=False),
)


@dataclass(frozen=True)
class Made:
    """A section as HTML.

    Attributes:
        name: Its id on the page.
        version: Changes with what is in it.
        html: The whole `<section>`.
    """

    name: str
    version: str
    html: Markup


class Maker:
    """Fills templates.

    Args:
        shown: From what.
    """

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self._environment = Environment(
            loader=PackageLoader("afml.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters |= {
            "duration": duration,
            "size": size,
            "clock": clock,
            "brief": _brief,
            "iso": iso,
            "percent": _percent,
            "at_most": at_most,
            "at_least": at_least,
        }
        self._environment.globals |= {"draw": drawing}

    def sections(self, page: Page, run: str = "") -> list[Made]:
        """Every section of a page; one that cannot be filled says why."""
        return [self._section(name, fill, run) for name, fill in page.sections]

    def whole(self, page: Page, session: object, run: str = "") -> str:
        """The page.

        Args:
            page: Which.
            session: Whose it is; its word goes into the page's forms.
            run: Of a run's page.
        """
        live = (f"/runs/{run}{page.path}" if run else page.path) if page.live else ""
        return self.page("page", session, sections=self.sections(page, run), at=page, run=run, live=live)

    def page(self, template: str, session: object, **values: object) -> str:
        """Any page by its template: menu and foot around what is in it."""
        return self._environment.get_template(f"{template}.html.j2").render(
            {"session": session, "who": self._said(lambda: self.shown.who), "menu": self._menu(), "live": "", "run": "",
             "consortium": self._said(lambda: self.shown.consortium)} | values
        )  # fmt: skip

    def bare(self, template: str, **values: object) -> str:
        """A page for who has not signed in: it says nothing of whose it is."""
        return self._environment.get_template(f"{template}.html.j2").render(values)

    def _menu(self) -> Sequence[Page]:
        try:
            serves = self.shown.view.serves
        except AfmlError:
            serves = False
        return [page for page in PAGES if not (page.people and serves)]

    @staticmethod
    def _said(say: Callable[[], str]) -> str:
        try:
            return say()
        except AfmlError:
            return ""

    def _section(self, name: str, fill: Fill, run: str) -> Made:
        try:
            inside = self._environment.get_template(f"sections/{name}.html.j2").render(fill(self.shown, run))
        except AfmlError as error:
            inside = self._environment.get_template("sections/problem.html.j2").render(problem=str(error))
        version = hashlib.sha256(inside.encode()).hexdigest()[:16]
        html = Markup('<section id="{}" data-version="{}">{}</section>').format(name, version, Markup(inside))
        return Made(name, version, html)


def _brief(seconds: float) -> str:
    """UTC, without the year: where many times stand below each other."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%m-%d %H:%M:%S")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
