"""What a dossier is made of: copies of what the parties signed, and what our own programs say of it, in one folder.

    ledgers/NAME/entries.jsonl    every entry as it was written, a line each
    ledgers/NAME/head.txt         the newest head, countersigned
    ledgers/NAME/kept/*.txt       heads that others keep
    transcripts/*.jsonl           the aggregator's
    roster.json, run.json         the coordinator's, with .sig
    accounting.json               what each accountant says, and the verifier's own two ends
    verification.json             what `afml audit verify` finds
    publications/NAME-ENTRY.json  the word of an institution that a released file may leave the house
    report.json, details.json     what was attacked and reached
    model.json                    the model's card
    software.json                 what made this, when, and how it compares with what was released
    sbom.json, manifest.sha256    bill of materials and manifest of that release, where they were given

Nothing is in it about a person but what `afml audit export` hands out: enrolments by commitment and number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from afml.consortium.history import HISTORY, ROSTER, ROSTER_SIGNATURE, load_history
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.config import canonical_json
from afml.core.errors import ConfigError, InputError
from afml.core.files import require_file
from afml.dossier.ends import ends_of
from afml.dossier.software import software
from afml.dossier.standalone import Note
from afml.dossier.together import kept_of, require_report, require_run, require_used
from afml.evaluation.report import read_json
from afml.ledger.export import to_json
from afml.ledger.findings import Verification
from afml.ledger.outside import Files, KeyOptions, verify_with
from afml.ledger.snapshot import readable
from afml.ledger.spending import Account, accounts, worst
from afml.ledger.summary import Summary, charged_enrolments, summarise
from afml.privacy.accountant import ACCOUNTANTS, profile
from afml.privacy.events import Event, SubsampledGaussian
from afml.privacy.ple import Ple, ple, ple_of
from afml.release.package.manifest import PUBLICATION_FILE
from afml.release.package.publication import Publication
from node.workspace import Workspace


@dataclass(frozen=True)
class Sources:
    """Where the evidence is.

    Attributes:
        works: Work folders, one of each institution that is spoken of.
        kit: Folder with the roster as it is installed in a kit (roster.json and what signs it).
        run: run.json, with run.sig beside it; None where the dossier is about ledgers alone.
        transcripts: The aggregator's.
        heads: Signed heads that others have kept, or folders of them.
        report: report.json of `afml demo` or `afml evaluate`, with details.json beside it; None where there is none.
        sbom: Bill of materials of the release (CycloneDX JSON); None where there is none.
        manifest: Of the release, as `sha256sum` writes it; None where there is none.
    """

    works: tuple[Path, ...]
    kit: Path
    run: Path | None = None
    transcripts: tuple[Path, ...] = ()
    heads: tuple[Path, ...] = ()
    report: Path | None = None
    sbom: Path | None = None
    manifest: Path | None = None


def gather(sources: Sources, out: Path, signer: int | None = None) -> list[Verification]:
    """Copy and make all evidence into `out`, which institution `signer` signs; what was found in each ledger.

    Raises:
        InputError: A file is missing or wrong.
        IntegrityError: Something that others signed does not verify.
    """
    config = _agreed(sources, out)
    for number, path in enumerate(sources.transcripts, 1):
        _copy(require_file(path, "transcript"), out / "transcripts" / f"{number}.jsonl")
    spaces = [Workspace(work) for work in sources.works]
    if len({space.root.resolve() for space in spaces}) < len(spaces):
        raise InputError("names one folder twice", where="--work")
    summaries = {space.root: summarise(space.ledger) for space in spaces}
    if config is not None:
        require_run(config, summaries)
    found, told, accounted, used = [], {}, {}, list[Path]()
    for space in spaces:
        summary = summaries[space.root]
        name = summary.origin.rpartition("/")[2]
        if name in told:
            raise InputError(f"holds the ledger {summary.origin} as another one does", where=space.root)
        heads = kept_of(sources.heads, summary)
        used += heads
        _write_ledger(space.ledger, heads, summary, out / "ledgers" / name)
        _publications(space, summary, out / "publications")
        result = verify_with(space.ledger, KeyOptions(sources.kit / ROSTER), Files(sources.transcripts, heads))
        found.append(result)
        vouched = {"countersigned": _countersigned(out / "ledgers" / name, sources.kit)}
        told[name] = to_json(summary, result)["verification"] | vouched
        accounted[name] = _accounting(space.ledger, summary)
        ends_of(out / "ledgers" / name, accounted[name])
    require_used(sources.heads, used)
    _write(out / "verification.json", told)
    _write(out / "accounting.json", accounted)
    if config is not None:
        _model(config, spaces, out)
    _report(sources, config, summaries, out)
    if sources.sbom is not None:
        _copy(sources.sbom, out / "sbom.json")
    if sources.manifest is not None:
        _copy(require_file(sources.manifest, "manifest of the release"), out / "manifest.sha256")
    _write(out / "software.json", {**software(sources.sbom, sources.manifest), "signer": signer})
    return found


def _agreed(sources: Sources, out: Path) -> RunConfig | None:
    """Roster and run, both checked as a node checks them."""
    history = load_history(sources.kit)
    present = history.versions[-1]
    _copy(sources.kit / ROSTER, out / ROSTER)
    (out / ROSTER_SIGNATURE).write_bytes(bytes.fromhex(present.signature))
    if (sources.kit / HISTORY).is_file():
        _copy(sources.kit / HISTORY, out / HISTORY)
    if sources.run is None:
        return None
    config = load_run(sources.run, history)
    _copy(sources.run, out / "run.json")
    _copy(sources.run.with_suffix(".sig"), out / "run.sig")
    return config


def _write_ledger(folder: Path, heads: Sequence[Path], summary: Summary, out: Path) -> None:
    with readable(folder) as database:
        bodies = [row[0] for row in database.execute("SELECT body FROM entries ORDER BY idx")]
        notes = [row[0] for row in database.execute("SELECT note FROM checkpoints ORDER BY size")]
    out.mkdir(parents=True)
    (out / "entries.jsonl").write_bytes(b"".join(body + b"\n" for body in bodies))
    (out / "head.txt").write_text(summary.checkpoint, encoding="utf-8")
    kept = [*notes[:-1], *(path.read_text(encoding="utf-8") for path in heads)]
    for number, note in enumerate(dict.fromkeys(kept), 1):
        (out / "kept").mkdir(exist_ok=True)
        (out / "kept" / f"{number}.txt").write_text(note, encoding="utf-8")


def _publications(space: Workspace, summary: Summary, out: Path) -> None:
    """Of each publication in a ledger the file that its package bears, where that is still in the work folder."""
    for body in summary.bodies:
        if body["kind"] != "publication":
            continue
        for version in space.releases(str(body["run"])).all():
            path = version.folder / PUBLICATION_FILE
            if not path.is_file():
                continue
            word = Publication.load(path)
            if (word.manifest, word.assessment) == (body["manifest"], body["assessment"]):
                _copy(path, out / f"{summary.origin.rpartition('/')[2]}-{body['index']}.json")


def _countersigned(folder: Path, kit: Path) -> dict[str, list[int]]:
    """Institution -> [entries, Unix seconds] of the newest head of a ledger that it countersigned."""
    found: dict[str, list[int]] = {}
    members = load_history(kit).present.members
    for path in (folder / "head.txt", *sorted(folder.glob("kept/*.txt"))):
        note = Note(path.read_text(encoding="utf-8"))
        for member in members:
            for key in member.keys if member.origin != note.origin else ():
                if seconds := note.countersigned(member.origin, key):
                    found[member.name] = max(found.get(member.name, [0, 0]), [note.size, seconds])
    return found


def _accounting(ledger: Path, summary: Summary) -> list[dict[str, Any]]:
    """What each enrolment has spent, and what every accountant says of the person in it who has spent most."""
    lines = []
    with readable(ledger) as database:
        for name in charged_enrolments(summary.bodies):
            one = next(one for one in summary.enrolments if name.startswith(one.name))
            query = "SELECT person FROM enrolled JOIN enrolments USING (enrolment) WHERE commitment = ?"
            people = [row[0] for row in database.execute(query, (bytes.fromhex(name),))]
            line: dict[str, Any] = {"enrolment": name, "people": one.people, "insecure": one.insecure}
            if one.total is not None and one.balance is not None:
                budget = one.balance.budget
                histories = accounts(database, people)
                most = max(histories, key=lambda account: worst([account], budget).spent)
                line |= {
                    "unit": "epsilon" if budget.epsilon is not None else "sigma", "committed": one.balance.spent,
                    "committed_by": one.balance.filter.accountant, "spent": _told(one.total),
                    "broken": one.broken and _told(one.broken), "drawn": _drawn(histories, one.total.delta),
                    **_opinions(most, one.total.delta),
                }  # fmt: skip
            lines.append(line)
    return lines


def _told(found: Ple) -> dict[str, Any]:
    return {"epsilon": found.epsilon, "ple_sigma": found.sigma, "accountant": found.accountant}


def _drawn(histories: Sequence[Account], delta: float) -> dict[str, Any] | None:
    """What the one who spent most has spent if it is known in which rounds each would be drawn; None: none draws.

    Then every round counts as one with everybody in it: k steps of multiplier z are sqrt(k) / z (Dong, Roth, Su 2022,
    Cor. 3.3), however later ones were chosen (Smith, Thakurta 2022).
    """
    plans = [account.events() for account in histories]
    if not any(isinstance(event, SubsampledGaussian) and event.sample_rate < 1 for plan in plans for event in plan):
        return None
    found = [ple([_everybody(event) for event in plan], delta) for plan in plans if plan]
    return _told(max(found, key=lambda one: one.sigma))


def _everybody(event: Event) -> Event:
    return replace(event, sample_rate=1.0) if isinstance(event, SubsampledGaussian) else event


def _opinions(account: Account, delta: float) -> dict[str, Any]:
    """One history's fixed plan by every accountant that can hold it."""
    events = account.events()
    told = {}
    for name in ACCOUNTANTS.names():
        try:
            found = ple_of(profile(events, delta, name), delta)
        except ConfigError:
            continue  # it cannot hold these events, and says nothing
        told[name.lower().replace(" ", "_")] = {"epsilon": found.epsilon, "ple_sigma": found.sigma}
    return {"accountants": told}


def _model(config: RunConfig, spaces: Sequence[Workspace], out: Path) -> None:
    """The card of the run's model, which is the same at everybody who has it."""
    cards = [space.model(config.run) / "model.json" for space in spaces]
    held = [card for card in cards if card.is_file()]
    if len({card.read_bytes() for card in held}) > 1:
        raise InputError(f"hold different models of run {config.run}", where="--work")
    if held:
        _copy(held[0], out / "model.json")


def _report(sources: Sources, config: RunConfig | None, summaries: Mapping[Path, Summary], out: Path) -> None:
    if (report := sources.report) is None:
        return
    require_report(read_json(report), report, config, summaries)
    _copy(report, out / "report.json")
    if (beside := report.with_name("details.json")).is_file():
        _copy(beside, out / "details.json")


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(path.read_bytes())


def _write(path: Path, value: object) -> None:
    path.write_bytes(canonical_json(value) + b"\n")
