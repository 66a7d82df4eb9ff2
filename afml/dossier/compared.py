"""What several dossiers say of the same things, laid side by side: where they agree, and both sides where they do not.

Compared is what all parties should have alike: the roster, the signed run, the model, the report and the code, as each
dossier's copies say; every round as each ledger and each copy of the transcript has it; the copies of the transcript
with each other; and each ledger with the transcripts of the others. What an institution says of its own people alone
has nothing to be compared with.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from afml.dossier.packs import Pack
from afml.dossier.standalone import Check, Ledger, sha256
from afml.dossier.statements import InFile, LedgerLeaf, Pointer, TranscriptLine, Value, kind_of

COMMON = {
    "roster.json": "roster",
    "run.json": "configuration",
    "model.json": "model",
    "report.json": "attacks and usefulness",
    "details.json": "attacks and usefulness",
    "software.json": "code",
}
"""Files of which every party should have the same, and what they are about."""
_SINCE, _SIGNER = "since 1970", "dossier.signer"
"""When each made its own, and who signed it, is nothing to agree on."""
KINDS = (*dict.fromkeys(COMMON.values()), "rounds", "end of the run", "transcript", "ledger against transcript")


@dataclass(frozen=True)
class Said:
    """One side's word: the pack that it is in, the value, and where it stands there."""

    pack: str
    value: Value
    pointer: Pointer

    def to_json(self) -> dict[str, Any]:
        """Its line in merged.json."""
        return {
            "pack": self.pack, "value": self.value,
            "pointer": {"kind": kind_of(self.pointer), **asdict(self.pointer)},
        }  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """One thing that two or more packs speak of.

    Attributes:
        kind: Of `KINDS`.
        about: Id of a statement, or which round, in words.
        words: What is compared.
        said: Each side's word.
        agrees: Whether they say the same.
    """

    kind: str
    about: str
    words: str
    said: tuple[Said, ...]
    agrees: bool


def compare(packs: Sequence[Pack]) -> list[Compared]:
    """Everything that two of them speak of, in a fixed order."""
    runs = runs_of(packs)
    found = [*_files(packs), *_rounds(packs, runs), *_ends(packs, runs), *_transcripts(packs), *_crossed(packs)]
    return sorted(found, key=lambda one: KINDS.index(one.kind))


def ledgers_of(packs: Iterable[Pack]) -> dict[str, tuple[Pack, Ledger]]:
    """Name -> a pack that holds it, and it; each once: two packs hold the same entries of it or are refused."""
    found: dict[str, tuple[Pack, Ledger]] = {}
    for pack in packs:
        for name, ledger in pack.check.ledgers.items():
            found.setdefault(name, (pack, ledger))
    return found


def runs_of(packs: Iterable[Pack]) -> set[str]:
    """Runs that the packs are about: of their run.json and of their transcripts."""
    found = {str(pack.run["run"]) for pack in packs if pack.run}
    return found | {run for pack in packs for lines in pack.check.transcripts.values() if (run := _run_of(lines))}


def _files(packs: Sequence[Pack]) -> Iterator[Compared]:
    """Statements on files that all should have alike; and the digest of the run, which its signature is about."""
    by_id: dict[str, list[tuple[str, Said, str]]] = {}
    for pack in packs:
        if pack.run is not None:
            digest = sha256((pack.check.folder / "run.json").read_bytes())
            said = Said(pack.name, pack.configuration, InFile("run.json", digest))
            by_id.setdefault("run.configuration", []).append(("run.json", said, "digest of the signed run"))
        for one in pack.statements.values():
            own = _SINCE in one.unit or one.id == _SIGNER
            if isinstance(one.pointer, InFile) and one.pointer.file in COMMON and not own:
                said = Said(pack.name, one.value, one.pointer)
                by_id.setdefault(one.id, []).append((one.pointer.file, said, one.words))
    for name, its in by_id.items():
        file, _, words = its[0]
        yield from _alike(COMMON[file], name, words, [said for _, said, _ in its])


def _alike(kind: str, about: str, words: str, said: list[Said]) -> Iterator[Compared]:
    """What is said of one thing, where at least two say it."""
    if len(said) > 1:
        yield Compared(kind, about, words, tuple(said), len({repr(one.value) for one in said}) == 1)


def _rounds(packs: Sequence[Pack], runs: set[str]) -> Iterator[Compared]:
    """Every attempt, as each ledger that paid for it and each copy of the transcript has it."""
    found: dict[tuple[str, int, int], list[tuple[dict[str, Any], str, Pointer]]] = {}
    for pack, ledger in ledgers_of(packs).values():
        for body in ledger.of("spend"):
            pointer = _leaf(ledger, body["index"])
            rate = body["mechanism"].get("sample_rate", 1.0)
            counted = body["published_multiplier"] * math.sqrt(
                body["enrolments_per_person"]
            )  # as the transcript has it
            told = {**body, "sample_rate": rate, "noise_multiplier": counted}
            found.setdefault((body["run"], body["round"], body["attempt"]), []).append((told, pack.name, pointer))
    for pack in packs:
        for file, lines in pack.check.transcripts.items():
            for number, line in enumerate(lines, 1):
                record = json.loads(line)
                if "cohort" in record:
                    place = record["run"], record["round"], record["attempt"]
                    found.setdefault(place, []).append((record, pack.name, TranscriptLine(file, number, sha256(line))))
    for (run, number, attempt), its in sorted(found.items()):
        about = f"run {run}, round {number}, attempt {attempt}"
        for words, value in (("institutions in it", _cohort), ("how it was spent", _mechanism)):
            said = [Said(pack, value(fields), pointer) for fields, pack, pointer in its if run in runs]
            yield from _alike("rounds", about, words, said)


def _leaf(ledger: Ledger, index: int, at: str = "") -> LedgerLeaf:
    """An entry; of a ledger without any the place where the first would be."""
    return LedgerLeaf(ledger.name, max(index, 0), ledger.leaves[index].hex() if ledger.leaves else "", at)


def _cohort(fields: dict[str, Any]) -> str:
    return ", ".join(str(node) for node in sorted(fields["cohort"]))


def _mechanism(fields: dict[str, Any]) -> str:
    return (
        f"phase {fields['phase']}, {fields['noise']} noise of {fields['noise_multiplier']:g} clip norms, clip norm "
        f"{fields['clip_norm']:g}, sample rate {fields['sample_rate']:g}, configuration {fields['config_digest'][:16]}"
    )


def _ends(packs: Sequence[Pack], runs: set[str]) -> Iterator[Compared]:
    """How the run ended at each institution, and by which model it released."""
    for run in sorted(runs):
        closed, models = list[Said](), list[Said]()
        for pack, ledger in ledgers_of(packs).values():
            for body in ledger.of("closing", "release"):
                if body["run"] == run:
                    field, into = ("reason", closed) if body["kind"] == "closing" else ("model_digest", models)
                    into.append(Said(pack.name, body[field], _leaf(ledger, body["index"], f"/{field}")))
        yield from _alike("end of the run", f"run {run}", "how it ended at each institution", closed)
        yield from _alike("model", f"releases of run {run}", "digest of the model that planned each", models)


def _transcripts(packs: Sequence[Pack]) -> Iterator[Compared]:
    """Copies of one transcript: a shorter one is the beginning of a longer one, or the aggregator told two tales."""
    copies: dict[str, list[tuple[str, str, list[bytes]]]] = {}
    for pack in packs:
        for file, lines in pack.check.transcripts.items():
            if lines:
                copies.setdefault(_run_of(lines), []).append((pack.name, file, lines))
    for run, its in sorted(copies.items()):
        common = min(len(lines) for _, _, lines in its)
        parts = [i for i in range(common) if len({lines[i] for _, _, lines in its}) > 1]
        place = parts[0] if parts else common - 1
        said = [
            Said(pack, sha256(lines[place]), TranscriptLine(file, place + 1, sha256(lines[place])))
            for pack, file, lines in its
        ]
        words = f"SHA-256 of line {place + 1}, which names all lines before it"
        yield from _alike("transcript", f"transcript of run {run}", words, said)


def _run_of(lines: Sequence[bytes]) -> str:
    """The run that a transcript is of; "" where no line names one."""
    for line in lines:
        record = json.loads(line)
        if run := record.get("run") or (record.get("order") or record.get("refusal") or {}).get("run"):
            return str(run)
    return ""


def _crossed(packs: Sequence[Pack]) -> Iterator[Compared]:
    """Each ledger against the transcripts of the other packs: what no pack alone could be checked for."""
    seen = set[tuple[str, str]]()
    for pack, (other, ledger) in itertools.product(packs, ledgers_of(packs).values()):
        for file, lines in pack.check.transcripts.items():
            if (
                not lines
                or ledger.name in pack.check.ledgers
                or (key := (ledger.name, sha256(b"\n".join(lines)))) in seen
            ):
                continue  # it was, or the same copy was
            seen.add(key)
            yield from _against(pack, file, lines, other, ledger)


def _against(pack: Pack, file: str, lines: list[bytes], other: Pack, ledger: Ledger) -> Iterator[Compared]:
    records = [(number, json.loads(line)) for number, line in enumerate(lines, 1)]
    rounds = [(number, record) for number, record in records if "cohort" in record]
    check = Check(pack.check.folder)
    check.published(ledger, [record for _, record in rounds], file)
    words = f"the ledger of {ledger.owner} against what was published"
    end = len(ledger.leaves) - 1
    if not check.findings:
        last = TranscriptLine(file, len(lines), sha256(lines[-1]))
        told = f"{len(rounds)} rounds"
        said = Said(pack.name, told, last), Said(other.name, told, _leaf(ledger, end))
        yield Compared("ledger against transcript", f"{file} of {pack.name}", words, said, True)
    for one in check.findings:
        named = [(n, r) for n, r in rounds if f"run {r['run']}, round {r['round']}," in one.where]
        number, record = named[0] if named else (len(lines), {"round": None})
        line = Said(
            pack.name, f"round {record['round']} as published", TranscriptLine(file, number, sha256(lines[number - 1]))
        )
        spent = [b for b in ledger.of("spend") if named and (b["run"], b["round"]) == (record["run"], record["round"])]
        own = Said(other.name, f"{one.code}: {one.problem}", _leaf(ledger, spent[0]["index"] if spent else end))
        yield Compared("ledger against transcript", one.where, words, (line, own), False)
