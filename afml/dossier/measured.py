"""Facts that the report holds: what attacks reached, what an attack on the training established, what records are for.

All of it is the word of whoever made report.json and details.json: without the people's data nobody can recompute it.
What groups of equal records allow at most is counted from the ledgers' own entries where these are here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from afml.dossier.collector import Collector, escaped, has, slug
from afml.dossier.fields import AUDIT, DETAILS, DISCLOSURE, GROUP, LINKED, REPORT, TRAIT
from afml.dossier.standalone import pointed


def measured(c: Collector) -> None:
    """Statements of report.json and details.json, where they are there."""
    if c.document("report.json") is None:
        return
    _report(c, c.document("report.json"))
    _grouping(c)
    if c.document("details.json") is not None:
        _details(c, c.document("details.json"))


def _report(c: Collector, report: dict[str, Any]) -> None:
    for name, at, unit, words in REPORT:
        if has(report, at):
            c.file(name, "report.json", at, unit, words)
    for attack in report["release"]["rr_by_attack"]:
        at = f"/release/rr_by_attack/{escaped(attack)}"
        c.file(f"attack.{slug(attack)}.rr", "report.json", at, "share", f"records linked by attack {attack}")
    for place, row in enumerate(report.get("baselines", ())):
        name, at = f"baseline.{slug(row['name'] + ' ' + row['matched'])}", f"/baselines/{place}"
        words = f"{row['name']}, by {row['matched']}"
        c.file(f"{name}.rr", "report.json", f"{at}/rr", "share", words)
        c.file(f"{name}.ratio", "report.json", f"{at}/utility_ratio", "", f"{words}: released over raw")
    for place, row in enumerate(report.get("attributes", ())):
        name = f"attribute.{slug(row['name'])}"
        for field in ("accuracy", "base_rate", "raw_accuracy"):
            words = f"{row['name']} named right from released records: {field}"
            c.file(f"{name}.{field}", "report.json", f"/attributes/{place}/{field}", "share", words)


def _grouping(c: Collector) -> None:
    """Equal records cannot be told apart: of each group one is named right on average, whatever the attack."""
    if c.document("report.json")["release"].get("min_group_size") is None:
        return
    words = "records that any attack names right at most where the institution is not known: different ones over people"
    c.derived("grouping.all", "ratio", ("release.patterns", "data.people"), "share", words)
    run = c.document("run.json")
    newest = []
    for ledger in c.document("accounting.json"):
        bodies = [json.loads(line) for line in c.lines(f"ledgers/{ledger}/entries.jsonl")]
        mine = [body["index"] for body in bodies if body["kind"] == "release" and run and body["run"] == run["run"]]
        newest += [f"ledger.{ledger}.release.{mine[-1]}"] if mine else []
    for field, unit, words in (
        ("patterns", "different records", "of each file of the run, added up over files, by the ledgers"),
        ("people", "records", "records of these files, by the ledgers; who is in two files counts twice"),
    ):
        c.derived(f"grouping.{field}", "sum", tuple(f"{name}.{field}" for name in newest), unit, words)
    words = "the same where it is: different records of each file, added up, over people"
    of = ("grouping.patterns", "grouping.people")
    c.derived("grouping.known_institution", "ratio", of, "share", words)


def _details(c: Collector, details: dict[str, Any]) -> None:
    for name, at, unit, words in DETAILS + AUDIT:
        if has(details, at) and pointed(details, at) is not None:
            c.file(name, "details.json", at, unit, words)
    low, high = "membership.auc_low", "membership.auc_high"
    if c.value(low) != c.value(high):
        words = "width of that interval; an attack that scores everybody alike has none"
        c.derived("membership.auc_width", "difference", (high, low), "", words)
    for number in range(len((details.get("audit") or {}).get("guesses", ()))):
        words = f"guesses at so many of them, each at one; way {number + 1} of the attack"
        c.file(f"audit.guesses.{number + 1}", "details.json", f"/audit/guesses/{number}", "guesses", words)
        at = f"/audit/correct/{number}"
        c.file(f"audit.correct.{number + 1}", "details.json", at, "guesses", "right ones of these")
    for place, one in enumerate((details.get("audit") or {}).get("power", ())):
        name, at = f"audit.power.{round(100 * one['noise'])}", f"/audit/power/{place}/found"
        words = f"audits of this plan that find noise of {one['noise']:g} of what is accounted, at the most"
        c.file(name, "details.json", at, "share", words)
    for kind, fields in (("phenotypes", DISCLOSURE), ("traits", TRAIT)):
        for place, one in enumerate(details.get(kind, ())):
            name = f"disclosure.{slug(one.get('name', '')) or kind.removesuffix('s')}"
            for field, at, unit, words in fields:
                if has(one, at):
                    text = f"{one.get('name') or 'the ' + kind.removesuffix('s')}: {words}"
                    c.file(f"{name}.{field}", "details.json", f"/{kind}/{place}{at}", unit, text)
    _genotype(c, (details.get("genotype") or {}).get("sites", ()))
    _linked(c, details)
    groups = ((details.get("harder") or {}).get("groups") or {}).get("groups", ())
    for place, group in enumerate(groups):
        name, at = f"group.{slug(group['name'])}", f"/harder/groups/groups/{place}"
        c.file(f"{name}.people", "details.json", f"{at}/people", "records", f"records of people of {group['name']}")
        words = f"records linked of {group['name']}, by the attack that does best on it"
        c.file(f"{name}.rr", "details.json", f"{at}/rr", "share", words)
        c.file(f"{name}.rr_low", "details.json", f"{at}/ci95/0", "share", "lower end of its 95 % interval")
        c.file(f"{name}.rr_high", "details.json", f"{at}/ci95/1", "share", "upper end of its 95 % interval")
        for field, inside, unit, words in GROUP:
            if has(group, inside) and pointed(group, inside) is not None:
                c.file(f"{name}.{field}", "details.json", at + inside, unit, f"{group['name']}: {words}")
    known = [name for group in groups if c.value(name := f"group.{slug(group['name'])}.rr_known") is not None]
    c.derived("groups.worst_known", "most", tuple(known), "share", "worst group's rate where the institution is known")
    of = ("groups.worst_known", "attack.known_institution.rr")
    if c.value("attack.known_institution.rr"):
        c.derived("groups.worst_known_ratio", "ratio", of, "", "the same over the rate of everybody there")


def _genotype(c: Collector, sites: Sequence[dict[str, Any]]) -> None:
    """What records tell of a genotype, shown or withheld: where they show one, and the site of which they tell most."""
    for place, site in enumerate(sites):
        if site["shown"] > 0:
            name, at = f"genotype.shown.{site['site']}", f"/genotype/sites/{place}/shown"
            words = f"people of the trial on genotypes whose records show column {site['site']} of the site panel"
            c.file(name, "details.json", at, "share", words)
    if not sites:
        return
    gains = [site["release_accuracy"] - site["panel_accuracy"] for site in sites]
    at = f"/genotype/sites/{gains.index(max(gains))}"
    c.file("genotype.people", "details.json", "/genotype/people", "people", "people of the trial on genotypes")
    c.file("genotype.most", "details.json", f"{at}/site", "", "column of which, of the sites tried, records tell most")
    for field, inside, words in (
        ("named", "release_accuracy", "genotypes at that column named right with the record"),
        ("unaided", "panel_accuracy", "without the record"),
        ("visible", "shown", "records that show a genotype there"),
    ):
        c.file(f"genotype.{field}", "details.json", f"{at}/{inside}", "share", words)


def _linked(c: Collector, details: dict[str, Any]) -> None:
    """Records linked where candidates are relatives, or more people than there are."""
    relatives = (details.get("harder") or {}).get("relatives", ())
    for place, one in enumerate(relatives):
        name, at = f"relatives.{one['degree']}", f"/harder/relatives/{place}"
        c.file(f"{name}.kinship", "details.json", f"{at}/kinship", "", f"expected kinship, degree {one['degree']}")
        for field, inside, unit, words in LINKED:
            text = f"a relative of degree {one['degree']} stands for each candidate: {words}"
            c.file(f"{name}.{field}", "details.json", at + inside, unit, text)
        _tried(c, name, at, one)
    for place, one in enumerate(details.get("population", ())):
        name, at = f"population.{one['factor']}", f"/population/{place}"
        for field, inside, unit, words in LINKED:
            text = f"{one['factor']} times as many candidates, made up: {words}"
            c.file(f"{name}.{field}", "details.json", at + inside, unit, text)
        _tried(c, name, at, one)
    if again := (details.get("harder") or {}).get("again"):
        _tried(c, "again", "/harder/again", again)


def _tried(c: Collector, name: str, at: str, of: dict[str, Any]) -> None:
    """What each attack reached that was run there: seldom all, so a page names them."""
    for attack in of["by_attack"]:
        words = f"the same by attack {attack}"
        c.file(f"{name}.by.{slug(attack)}", "details.json", f"{at}/by_attack/{escaped(attack)}", "share", words)
