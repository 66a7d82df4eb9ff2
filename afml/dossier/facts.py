"""Facts of a dossier: which statements are made, out of which file of the evidence, and in which words.

Ids that a form or a page may ask for. ENROLMENT is the first 12 hex digits of an enrolment's commitment, NODE a number
of the roster, PHASE a name of the run, ATTACK and GROUP names with what is no letter or digit as "-".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from afml.dossier.asked import asked
from afml.dossier.collector import Collector, escaped, has, slug
from afml.dossier.course import course
from afml.dossier.ends import ENDS
from afml.dossier.fields import AGAIN, BUDGET, POLICY, RELEASE, RUN
from afml.dossier.measured import measured
from afml.dossier.published import published
from afml.dossier.ran import ran
from afml.dossier.standalone import keys_of
from afml.dossier.statements import Statements
from afml.ledger.summary import charged_enrolments

_SURE = "of those who took part, whom outcomes make known with more than {} % sureness, at most"


def collect(folder: Path) -> Statements:
    """All statements that the evidence in `folder` allows."""
    c = Collector(folder)
    _consortium(c)
    _run(c)
    _ledgers(c)
    _worst(c)
    _transcripts(c)
    measured(c)
    ran(c)
    return c.statements()


def _consortium(c: Collector) -> None:
    roster = c.document("roster.json")
    c.file("consortium.name", "roster.json", "/consortium", "", "name of the consortium")
    c.file("consortium.roster_digest", "roster.json", "", "", "SHA-256 of the roster file")
    c.file("consortium.coordinator_key", "roster.json", "/coordinator_key", "", "key that signs rosters and runs")
    c.file("consortium.aggregator_key", "roster.json", "/aggregator_key", "", "key that signs the transcript")
    if roster.get("authority"):
        words = "SHA-256 of the certificate of whoever certifies the parties' connections, as the coordinator named it"
        c.file("consortium.authority", "roster.json", "/authority", "", words)
    for place, member in enumerate(roster["members"]):
        node = member["node"]
        c.file(f"institution.{node}.name", "roster.json", f"/members/{place}/name", "", f"institution {node}")
        c.file(
            f"institution.{node}.signing_key", "roster.json", f"/members/{place}/signing_key", "",
            f"key that institution {node} signs its ledger with",
        )  # fmt: skip


def _run(c: Collector) -> None:
    run = c.document("run.json")
    if run is None:
        return
    for name, at, unit, words in RUN:
        if has(run, at):
            c.file(name, "run.json", at, unit, words)
    c.file("run.digest", "run.json", "", "", "SHA-256 of the signed run; what it does not name it does not ask for")
    for node in run["enrolled"]:
        c.file(f"run.enrolled.{node}", "run.json", f"/enrolled/{node}", "people", f"people of institution {node} in it")
    enrolled = tuple(f"run.enrolled.{node}" for node in run["enrolled"])
    c.derived("run.people", "sum", enrolled, "people", "people who were enrolled, whose data its private rounds are of")
    c.derived("run.institutions", "count", enrolled, "institutions", "institutions in the run")
    for place, phase in enumerate(run["phases"]):
        name, at = f"mechanism.{slug(phase['name'])}", f"/phases/{place}"
        for field, unit, words in (
            ("rounds", "rounds", "private rounds"),
            ("sample_rate", "share", "probability that a person is in a round's batch"),
            ("clip_norm", "L2", "most that a person adds to a sum"),
            ("noise_multiplier", "clip norms", "standard deviation of the noise as accounted"),
            ("parameters", "numbers", "numbers in an update"),
        ):
            if field in phase:
                c.file(f"{name}.{field}", "run.json", f"{at}/{field}", unit, f"phase {phase['name']}: {words}")
    phases = [f"mechanism.{slug(phase['name'])}" for phase in run["phases"]]
    z, rounds = tuple(f"{p}.noise_multiplier" for p in phases), tuple(f"{p}.rounds" for p in phases)
    c.derived("mechanism.noise_multiplier", "least", z, "clip norms", "least noise of any phase")
    c.derived("run.rounds", "sum", rounds, "rounds", "private rounds that are planned")


def _ledgers(c: Collector) -> None:
    accounting, verification = c.document("accounting.json"), c.document("verification.json")
    members, books = c.document("roster.json")["members"], dict[str, list[dict[str, Any]]]()
    for ledger, enrolments in accounting.items():
        owner = next(place for place, member in enumerate(members) if keys_of(member)[1] == ledger)
        named = "roster.json", f"/members/{owner}/name", "", "whose it is"
        c.file(f"ledger.{ledger}.institution", *named)
        bodies = books[ledger] = [json.loads(line) for line in c.lines(f"ledgers/{ledger}/entries.jsonl")]
        c.file(
            f"ledger.{ledger}.entries", "verification.json", f"/{ledger}/entries", "entries", "entries of the ledger"
        )
        c.file(f"ledger.{ledger}.root", "verification.json", f"/{ledger}/root", "", "root of its hash tree")
        c.file(
            f"ledger.{ledger}.verified", "verification.json", f"/{ledger}/ok", "",
            "whether `afml audit verify` found nothing where this was made, tables of people included",
        )  # fmt: skip
        for name in verification[ledger]["countersigned"]:
            at, words = f"/{ledger}/countersigned/{escaped(name)}", f"{name} countersigned its head"
            c.file(f"ledger.{ledger}.countersigned.{slug(name)}", "verification.json", f"{at}/1", "s since 1970", words)
            words = "entries that this head covers"
            c.file(f"ledger.{ledger}.countersigned_at.{slug(name)}", "verification.json", f"{at}/0", "entries", words)
        for number in range(len(verification[ledger]["findings"])):
            at = f"/{ledger}/findings/{number}"
            c.file(
                f"ledger.{ledger}.finding.{number + 1}", "verification.json", f"{at}/code", "", "found in the ledger"
            )
        for number in range(len(verification[ledger]["unchecked"])):
            at, name = f"/{ledger}/unchecked/{number}", f"ledger.{ledger}.unchecked.{number + 1}"
            c.file(name, "verification.json", at, "", "what `afml audit verify` could not check")
        for place, line in enumerate(enrolments):
            c.file(f"budget.{line['enrolment'][:12]}.institution", *named)
            _budget(c, f"/{ledger}/{place}", line)
            _recorded(c, ledger, bodies, line["enrolment"])
        _entries(c, ledger, bodies)
        course(c, ledger, members[owner]["node"], bodies)
    asked(c, books)


def _budget(c: Collector, at: str, line: dict[str, Any]) -> None:
    name = f"budget.{line['enrolment'][:12]}"
    c.file(f"{name}.enrolment", "accounting.json", f"{at}/enrolment", "", "commitment to who they are")
    c.file(f"{name}.insecure", "accounting.json", f"{at}/insecure", "", "whether somebody took part in a simulation")
    for field, inside, unit, words in BUDGET + ENDS:
        if has(line, inside):
            text = f"enrolment {line['enrolment'][:12]}: {words}"
            c.file(f"{name}.{field}", "accounting.json", at + inside, unit.format(**line), text)
    c.derived(
        f"odds.{line['enrolment'][:12]}", "right_at_most", (f"{name}.spent_ple",), "share",
        "an attacker who guesses 50:50 before whether a person took part is right at most this often after, on average",
    )  # fmt: skip
    c.derived(
        f"odds_if_broken.{line['enrolment'][:12]}", "right_at_most", (f"{name}.broken_ple",), "share",
        "the same, were aggregation broken and this institution's own updates read",
    )  # fmt: skip
    for accountant in line.get("accountants", {}):
        for field, kind, unit in (("epsilon", "epsilon", "epsilon"), ("ple", "ple_sigma", "sigma")):
            inside = f"{at}/accountants/{accountant}/{kind}"
            words = f"accountant {accountant}, all plans as fixed: {unit}"
            c.file(f"{name}.{accountant}_{field}", "accounting.json", inside, unit, words)


def _recorded(c: Collector, ledger: str, bodies: list[dict[str, Any]], enrolment: str) -> None:
    """What the ledger itself recorded last about an enrolment, and since when it spends."""
    name = f"budget.{enrolment[:12]}"
    charged = charged_enrolments(bodies)[enrolment]
    spends, last = [body for body in charged if body["kind"] == "spend"], charged[-1]["index"]
    c.leaf(f"{name}.people", ledger, (last, "/people"), "people", "people who were enrolled together")
    unit = "sigma" if charged[-1]["lifetime"].get("ple_sigma") is not None else "epsilon"
    at = "/lifetime/ple_sigma" if unit == "sigma" else "/lifetime/epsilon"
    c.leaf(f"{name}.limit", ledger, (last, at), unit, "what a person of them may spend over all runs")
    c.leaf(f"{name}.delta", ledger, (last, "/lifetime/delta"), "", "delta of their account")
    for which, field in (("sure", "spent_ple"), ("sure_if_broken", "broken_ple")):
        of = (f"{name}.{field}", f"{name}.delta")
        c.derived(f"{which}.{enrolment[:12]}", "sure_90", of, "share", _SURE.format(90))
    _at_limit(c, enrolment, unit)
    left = (f"{name}.limit", f"{name}.committed")
    c.derived(f"{name}.left", f"left_{unit}", left, unit, "what is left of the budget for further runs")
    if not spends:
        return  # a run was lost before its first spend that a backup holds, and is charged whole
    first, last, words = spends[0]["index"], spends[-1]["index"], "what its ledger recorded with its last spend"
    if spends[-1]["claim"]["ple_sigma"] is not None:
        c.leaf(f"{name}.recorded_ple", ledger, (last, "/claim/ple_sigma"), "sigma", words)
        c.leaf(f"{name}.recorded_epsilon", ledger, (last, "/claim/epsilon"), "epsilon", words)
    c.leaf(f"{name}.first_spend", ledger, (first, "/time_ms"), "ms since 1970", "when it first spent")
    c.leaf(f"{name}.last_spend", ledger, (last, "/time_ms"), "ms since 1970", "when it last spent")
    pace = tuple(f"{name}.{field}" for field in ("limit", "spent_ple", "first_spend", "last_spend"))
    if unit == "sigma":
        words = "when the budget is used up at the pace from first to last spend; null: too short a time, or a century"
        c.derived(f"{name}.ends", "ends", pace, "ms since 1970", words)


def _at_limit(c: Collector, enrolment: str, unit: str) -> None:
    """What a limit lets an attacker reach, once it is spent whole: a limit is a safeguard as far as that goes."""
    name, spent = f"budget.{enrolment[:12]}", "once all of the limit is spent"
    words = f"an attacker who guesses 50:50 before is right at most this often, on average, {spent}"
    rule, of = ("right_at_most", ("limit",)) if unit == "sigma" else ("right_at_most_epsilon", ("limit", "delta"))
    c.derived(f"odds_at_limit.{enrolment[:12]}", rule, tuple(f"{name}.{one}" for one in of), "share", words)
    rule, both = "sure_90" if unit == "sigma" else "sure_90_epsilon", (f"{name}.limit", f"{name}.delta")
    c.derived(f"sure_at_limit.{enrolment[:12]}", rule, both, "share", f"{_SURE.format(90)}, {spent}")


def _entries(c: Collector, ledger: str, bodies: list[dict[str, Any]]) -> None:
    """Policies, audits, releases and what became of them, withdrawals: each is said by the entry that holds it."""
    withdrawn, files = [], []
    for body in bodies:
        index, kind = body["index"], body.get("kind")
        name = f"ledger.{ledger}.{kind}.{index}"
        if kind == "policy":
            last = index == max(body["index"] for body in bodies if body["kind"] == "policy")
            for field, at, unit, words in POLICY:
                if has(body, at) and (last or field in ("lifetime_ple", "approval")):
                    c.leaf(f"{name}.{field}", ledger, (index, at), unit, words)
        elif kind == "audit":
            c.leaf(f"{name}.audited_ple", ledger, (index, "/mu_lower"), "sigma", f"run {body['run']}: least, by attack")
            c.leaf(f"{name}.confidence", ledger, (index, "/confidence"), "share", "confidence of that bound")
            c.leaf(f"{name}.instrument", ledger, (index, "/instrument"), "", "how it was attacked")
        elif kind in ("release", "reassessment"):
            for field, unit, words in RELEASE if kind == "release" else AGAIN:
                c.leaf(f"{name}.{field}", ledger, (index, f"/{field}"), unit, f"{kind} of run {body['run']}: {words}")
            files += [f"{name}.file_digest"] if kind == "release" else []
        elif kind == "publication":
            published(c, ledger, body)
        elif kind == "closing":
            c.leaf(f"{name}.reason", ledger, (index, "/reason"), "", f"how run {body['run']} ended here")
        elif kind == "withdrawal":
            withdrawn.append(f"{name}.people")
            c.leaf(withdrawn[-1], ledger, (index, "/people"), "people", "people who withdrew consent")
    c.derived(
        f"ledger.{ledger}.releases", "count", tuple(files), "files", "files of released records, earlier ones too"
    )
    c.derived(f"ledger.{ledger}.withdrawn", "sum", tuple(withdrawn), "people", "people who withdrew consent in all")


def _worst(c: Collector) -> None:
    """The enrolment of all that has spent most: what is said of the whole."""
    lines = [line for lines in c.document("accounting.json").values() for line in lines]
    names = [f"budget.{line['enrolment'][:12]}" for line in lines]
    if not lines or any(line["insecure"] for line in lines):
        return
    spent = tuple(f"{name}.spent_ple" for name in names)
    c.derived("privacy.ple", "most", spent, "sigma", "what the person who has spent most has spent at most")
    worst = max(lines, key=lambda line: line["spent"]["ple_sigma"])
    one_delta = len({c.value(f"{name}.delta") for name in names}) == 1  # epsilons at other deltas do not compare
    alike = names if one_delta else [f"budget.{worst['enrolment'][:12]}"]
    epsilons = tuple(f"{name}.spent_epsilon" for name in alike)
    c.derived("privacy.epsilon", "most", epsilons, "epsilon", "the same as epsilon")
    if drawn := tuple(f"{name}.drawn_ple" for name in names if c.value(f"{name}.drawn_ple") is not None):
        drawn += tuple(f"{name}.spent_ple" for name in names)  # of those whose rounds draw nobody it is what they spent
        words = (
            "what it would be if it were known who was drawn into rounds that draw people; all rounds as full batches"
        )
        c.derived("privacy.drawn_ple", "most", drawn, "sigma", words)
        c.derived("privacy.drawn_right_at_most", "right_at_most", ("privacy.drawn_ple",), "share", "right at most then")
    words = "of guesses at who took part (whose data were in the sums), 50:50 before, on average over all outcomes"
    c.derived("privacy.right_at_most", "right_at_most", ("privacy.ple",), "share", words)
    name = f"budget.{worst['enrolment'][:12]}"
    c.derived("privacy.delta", "same", (f"{name}.delta",), "", "delta of that account")
    for much in (90, 99):
        of = ("privacy.ple", "privacy.delta")
        c.derived(f"privacy.sure_{much}", f"sure_{much}", of, "share", _SURE.format(much))
    of, words = ("privacy.drawn_ple", "privacy.delta"), f"the same if draws were known: {_SURE.format(90)}"
    c.derived("privacy.drawn_sure_90", "sure_90", of, "share", words)
    _ends(c, names)
    for accountant in worst["accountants"]:
        for field, unit in (("epsilon", "epsilon"), ("ple", "sigma")):
            words = f"accountant {accountant}, all plans as fixed: {unit}"
            c.derived(f"accountant.{accountant}.{field}", "same", (f"{name}.{accountant}_{field}",), unit, words)
    tight = next((one for one in ("closed_form", "prv") if one in worst["accountants"]), None)
    if tight and "pld" in worst["accountants"]:
        of = (f"accountant.{tight}.epsilon", "accountant.pld.epsilon")
        c.derived("accountant.difference", "difference", of, "epsilon", "first accountant less the second")


def _ends(c: Collector, names: list[str]) -> None:
    """Between which two ends the most of any enrolment is: the largest of the lower ones, and of the upper ones."""
    one_delta = len({c.value(f"{name}.delta") for name in names}) == 1
    in_sigma = {c.unit(f"{name}.limit") for name in names} == {"sigma"}
    for said, unit, words, alike in (
        ("spent_ple", "sigma", "spent", True),
        ("spent_epsilon", "epsilon", "spent", one_delta),
        ("broken_ple", "sigma", "spent if updates were read", True),
        ("drawn_ple", "sigma", "spent if draws were known", True),
        ("committed_ple", "sigma", "taken", in_sigma),
    ):
        field = "committed" if said == "committed_ple" else said
        figure = tuple(f"{name}.{field}" for name in names)
        if not alike or any(c.value(one) is None for one in figure):
            continue
        c.derived(f"ends.{said}", "most", figure, unit, f"most that any enrolment has {words}, as said")
        for end, told in (("low", "no less than"), ("high", "no more than")):
            of = tuple(f"{name}.{said}_{end}" for name in names)
            c.derived(f"ends.{said}_{end}", "most", of, unit, f"{words}, by verify.py's own arithmetic: {told}")


def _transcripts(c: Collector) -> None:
    for path in sorted((c.folder / "transcripts").glob("*.jsonl")):
        file, name = f"transcripts/{path.name}", f"transcript.{path.stem}"
        lines = c.lines(file)
        rounds = [(n, json.loads(line)) for n, line in enumerate(lines, 1)]
        published = [n for n, record in rounds if "round" in record and "cohort" in record]
        if published:
            c.line(f"{name}.last_round", file, (published[-1], "/round"), "rounds", "last round that was published")
            c.line(f"{name}.run", file, (published[-1], "/run"), "", "its run")
            c.line(f"{name}.published", file, (published[-1], "/time_ms"), "ms since 1970", "when it was published")
