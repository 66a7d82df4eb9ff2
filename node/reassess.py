"""An institution attacks a file again that it released long ago, and writes down which promise still holds.

It holds all that this takes: the file, its people, the table of whose record is which, the public model and panel. What
the attacks reach on these people is exact and stays here, as `WORK/reassessments/RUN.json` and in the ledger.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import NodeCard
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, InputError
from afml.core.files import require_file, write_bytes
from afml.evaluation.reassess import Kin, OlderFile, Reassessed, ReleasedFile, reassess
from afml.genomics.build import build_store
from afml.genomics.files import GenotypeFiles
from afml.genomics.partition import read_people
from afml.genomics.released import release_digest, release_files
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.ledger.joint import Nesting
from afml.ledger.reassessment import Reassessment, rr_bound, verdict
from afml.ledger.releases import Standing
from afml.ledger.store import Ledger
from afml.masking.chosen import masking_settings
from afml.release.released import mask_alone
from afml.release.stored import Records
from node.inuse import in_use
from node.recognise import recognise_people
from node.released import read_records, released_plan, shown_labels
from node.workspace import Workspace

#: Share of the panel's sites that a file of public people may lack.
_MAX_ABSENT = 0.5
_DEGREES = (1, 2, 3)


@dataclass(frozen=True)
class Today:
    """What is public today, and how a file is attacked.

    Attributes:
        people: Genotypes of public people who came since, none of them in the work folder.
        kin: Genotypes of relatives who became public, and a table `sample`, `person`, `degree`; None: of none.
        target_rr: Rate that is asked of the attacks as well, institution known; None: promises alone are looked at.
        trained: Whether attacks are made that are trained first; they take longest.
        seed: Of reference profiles and made-up people.
    """

    people: tuple[Path, ...] = ()
    kin: tuple[Path, Path] | None = None
    target_rr: float | None = None
    trained: bool = True
    seed: int = 1


@dataclass(frozen=True)
class ReassessmentDone:
    """What was found, and what a next release of these people has room for.

    Attributes:
        found: By the attacks.
        standing: The release as the ledger has it, and its joint groups now.
        broken: What does not hold, by name: promises, and the rate that was asked for.
        target_rr: That rate; None: none was asked for.
        left_out: People of the public files whom the attacker had already or who are in the file.
        not_at_hand: Other releases of these people whose files are not in the work folder.
        next: Whom a next release, nested in all of these, may tell apart, of everybody in the work folder.
        file: Where all this is written.
    """

    found: Reassessed
    standing: Standing
    broken: tuple[str, ...]
    target_rr: float | None
    left_out: int
    not_at_hand: int
    next: Nesting
    file: Path

    def lines(self) -> list[tuple[str, str]]:
        """(what, value) of what the ledger says, for a terminal."""
        groups, bound = self.standing.groups, rr_bound(self.found.patterns.patterns, self.found.worst.records)
        others = f", with {len(groups.earlier)} other releases of them" if groups.earlier else ""
        unread = f"; {self.not_at_hand} of them are not in the work folder" if self.not_at_hand else ""
        left = self.next.block.count(-1)
        told = f"{len(self.next.least)} groups, {self.room} joint groups at most, {left} people left out"
        kept, asked = verdict(self.broken, self.target_rr)
        lines = [
            ("group size allows", f"{100 * bound:.3g} %"),
            ("joint groups", f"least {groups.smallest}, promised {groups.promised}{others}{unread}"),
            ("a next release, nested", f"{told}, at k = {self.standing.min_group_size}"),
            ("written to", f"{self.file}, and the ledger"),
            ("promises", kept),
        ]
        if self.left_out:
            lines.insert(0, ("not counted as new public people", f"{self.left_out}, in the panel or the file already"))
        return [*lines, ("asked", asked)] if asked else lines

    @property
    def room(self) -> int:
        """Joint groups that a next release can make at most."""
        people = Counter(self.next.block)
        return sum(people[block] // least for block, least in enumerate(self.next.least))


def reassess_release(
    work: Workspace, config: RunConfig, ledger: Ledger, today: Today, note: Callable[[str], None] = lambda _: None
) -> ReassessmentDone:
    """Attack the released files of a run again; write what was found into the ledger, and then to a file.

    Args:
        work: The institution's work folder, with the release.
        config: The run that it is of.
        ledger: The institution's, which knows the release.
        today: What is public.
        note: Told what is running.

    Raises:
        InputError: The files are not those that were released, or a file of public people cannot be used.
        ConfigError: Public people are given for data that are no genotypes.
    """
    with in_use(work):
        release_files(work.release(config.run))
        recognise_people(ledger, work)
        records, plan = read_records(work, config.run), released_plan(work, config.run)
        standing = ledger.releases.standing(release_digest(work.release(config.run)), shown_labels(records, plan))
        others, missing = _others(work, ledger, standing, records)
        store = GenotypeStore.open(GenotypeFiles(work.data).cohort_store)
        panel = GenotypeStore.open(GenotypeFiles(work.data).panel_store)
        public = _public(work, today, (store.samples, panel.samples), records, note)
        file = ReleasedFile(
            released=records.released, truth=records.rows, dosage=store.dosage(),
            panel=panel.dosage(), since=public.since,
            mask=partial(mask_alone, plan), fill=plan.fill, kin=public.kin, others=others,
            genotype_error=masking_settings(config).game.genotype_error, seed=today.seed, trained=today.trained,
        )  # fmt: skip
        found = reassess(file, note)
        entry = Reassessment(
            release=standing.index, public_people=len(file.panel) + len(file.since), rr=found.worst.rr,
            attacks=tuple(found.worst.by_attack), attacked=found.worst.records, target_rr=today.target_rr,
            relatives=sum(one.relatives for one in found.kin),
        )  # fmt: skip
        broken = tuple(ledger.releases.record_reassessment(entry))
        after = ledger.releases.nesting(store.samples, standing.min_group_size)
        done = ReassessmentDone(
            found, standing, broken, today.target_rr, public.left_out, missing, after, _file(work, config.run)
        )
        of_ledger = {"release": standing.index, "broken": broken, "joint_groups": standing.groups._asdict()}
        stored = {"run": config.run, **of_ledger, "left_out": public.left_out, **asdict(found)}
        write_bytes(done.file, (json.dumps(stored, indent=2, allow_nan=False) + "\n").encode())
        return done


def _file(work: Workspace, run: str) -> Path:
    """Where what attacks of today reached is kept; it never leaves the institution."""
    return work.root / "reassessments" / f"{run}.json"


def _others(work: Workspace, ledger: Ledger, standing: Standing, records: Records) -> tuple[tuple[OlderFile, ...], int]:
    """Other files about these people that are in the work folder as they were released, and how many are not."""
    entries = {entry.index: entry.body for entry in ledger.entries() if entry.kind == "release"}
    place = {person: row for row, person in enumerate(records.people)}
    found, missing = [], 0
    for index in standing.groups.earlier:
        run, digest = str(entries[index]["run"]), entries[index]["file_digest"]
        version = next((one for one in work.releases(run).all() if _digest(one.folder) == digest), None)
        if version is None:
            missing += 1
            continue
        try:
            other, plan = read_records(work, run, version), released_plan(work, run, version)
        except InputError:  # of other sites than the folder was prepared for since
            missing += 1
            continue
        both = [(place[person], row) for row, person in enumerate(other.people) if person in place]
        if both:
            here, there = np.array(both, dtype=np.int64).T
            found.append(OlderFile(run, here, other.released[there], partial(mask_alone, plan)))
    return tuple(found), missing


def _digest(folder: Path) -> str:
    """Of the files of a version; "" where it holds none any more."""
    try:
        return release_digest(folder)
    except InputError:
        return ""


@dataclass(frozen=True, eq=False)
class _Public:
    """Who is public today beside the panel of the run.

    Attributes:
        since: int8[q, S], genotypes of further people.
        kin: Relatives of people in the file.
        left_out: People of the files given who are no further ones.
    """

    since: NDArray[np.int8]
    kin: Kin | None
    left_out: int


def _public(
    work: Workspace, today: Today, known: tuple[list[str], list[str]], records: Records, note: Callable[[str], None]
) -> _Public:
    """Read who is public today; `known` are the names of the institution's people and of the panel of the run."""
    panel = SitePanel.load(GenotypeFiles(work.data).site_panel)
    kind = NodeCard.load(work.card).data.kind
    if kind != "genotypes" and (today.people or today.kin):
        raise ConfigError(f"public people are not read for data of the kind {kind}", cure="leave --panel-vcf out")
    # Non-members are public people who are not in the file. Somebody who is there twice would be a non-member and a
    # reference at once; somebody who was released and has left since would be a non-member who is in the file.
    own, seen, left_out = set(known[0]), {*known[1], *records.people}, 0
    people = [np.zeros((0, len(panel)), np.int8)]
    for path in today.people:
        note(f"reading {path.name}")
        dosage, names = _read(path, panel)
        if both := len(own.intersection(names)):
            raise InputError(f"holds {both} of this institution's own people", where=path, cure="leave them out of it")
        new = [row for row, name in enumerate(names) if name not in seen]
        if gone := len(names) - len(new):
            note(f"{path.name}: {gone} people left out, who are in the panel, an earlier file or the release")
        left_out += gone
        seen.update(names)
        people.append(dosage[new])
    kin = None
    if today.kin is not None:
        note(f"reading {today.kin[0].name}")
        dosage, names = _read(today.kin[0], panel)
        kin = _kin(today.kin[1], dosage, names, records)
    return _Public(np.concatenate(people), kin, left_out)


def _read(path: Path, panel: SitePanel) -> tuple[NDArray[np.int8], list[str]]:
    with tempfile.TemporaryDirectory() as scratch:
        store = build_store(require_file(path, "VCF"), panel, Path(scratch) / "store.zarr", max_absent=_MAX_ABSENT)
        return store.dosage(), store.samples


def _kin(table: Path, dosage: NDArray[np.int8], names: list[str], records: Records) -> Kin:
    """Whose relatives these are, by the table.

    Raises:
        InputError: It does not say it of all of them.
    """
    columns, rows = read_people(table)
    if columns[:3] != ["sample", "person", "degree"]:
        raise InputError("is no table of relatives", where=table, cure="give the columns sample, person, degree")
    place = {person: row for row, person in enumerate(records.people)}
    told = [rows.get(name, []) for name in names]
    if bad := sum(len(one) < 3 or one[1] not in place or one[2] not in map(str, _DEGREES) for one in told):
        raise InputError(
            f"does not say of {bad} of {len(names)} relatives of whom in the release they are one, in degree 1, 2 or 3",
            where=table,
            cure="give a line sample, person, degree for each, and leave relatives of others out of the VCF",
        )
    record = np.array([place[one[1]] for one in told], dtype=np.int64)
    return Kin(dosage, record, np.array([int(one[2]) for one in told], dtype=np.int64))
