"""The attack bench on files: released VCFs of any tool, the people they were made of, public people."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.evaluation.bench import BenchInputs, bench
from afml.evaluation.bench_report import BenchFile, BenchReport
from afml.evaluation.groups import Labels, labelled
from afml.genomics.build import build_store
from afml.genomics.calls.account import CallReading
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.partition import read_people
from afml.genomics.released import release_files
from afml.genomics.sources.opening import open_source
from afml.genomics.sources.record import NoGenotypes
from afml.genomics.store import GenotypeStore

GROUP_COLUMN = "super_pop"


@dataclass(frozen=True)
class BenchFiles:
    """What is attacked.

    Attributes:
        released: Files of one tool each, or folders that hold one: packages as `afml mask` writes them, VCF Zarr.
        people: Genotypes of the people they were made of: members, and candidates.
        panel: Genotypes of public people, none of them among `people`.
        pairs: Table `sample`, `person`: whose record each released sample is; by default samples of equal name.
        groups: Table of people's groups (`read_groups`); by default genotypes are clustered.
        sites: Most common sites of the panel that are compared.
        seed: Of reference profiles and made-up people.
    """

    released: tuple[Path, ...]
    people: Path
    panel: Path
    pairs: Path | None = None
    groups: Path | None = None
    sites: int = 1024
    seed: int = 1


class AttackedFile(BenchFile):
    """One file under attack, and how much of it the attacks looked at."""

    shown: int = Field(ge=0, description="genotypes that the file shows")
    not_compared: int = Field(ge=0, description="of these, at sites that are not compared, so that no attack used them")

    @property
    def line(self) -> tuple[str, str]:
        """(what, value), as `bench_lines` has them."""
        told = "all at compared sites" if not self.not_compared else (
            f"{self.not_compared} of them at sites that are not compared: no attack used these"
        )  # fmt: skip
        return "genotypes shown", f"{self.shown}, {told}"


class AttackedFiles(BenchReport):
    """All of bench.json."""

    files: tuple[AttackedFile, ...]


def read_groups(path: Path) -> dict[str, str]:
    """Sample -> group: a table whose first column is `sample`; the group is in `super_pop`, else in the second column.

    Raises:
        InputError: It is not such a table.
    """
    columns, rows = read_people(path)
    if len(columns) < 2:
        raise InputError("has no column of groups", where=path, cure=f"add a column {GROUP_COLUMN}")
    at = columns.index(GROUP_COLUMN) if GROUP_COLUMN in columns else 1
    short = next((name for name, fields in rows.items() if len(fields) <= at), None)
    if short is not None:
        raise InputError(f"has a line without a {columns[at]}", where=path, cure="complete it")
    return {name: fields[at] for name, fields in rows.items()}


def labels_of(path: Path | None, people: list[str], panel: list[str]) -> Labels | None:
    """The groups of people and panel; None where no table says them.

    Raises:
        InputError: It is not such a table, or names nobody of the people.
    """
    if path is None:
        return None
    groups = read_groups(path)
    try:
        return labelled([groups.get(name) for name in people], [groups.get(name) for name in panel])
    except InputError as error:
        raise InputError(str(error.problem), where=path, cure=error.cure) from None


def attack_files(files: BenchFiles, note: Callable[[str], None] = lambda _: None) -> AttackedFiles:
    """Attack each file.

    Args:
        files: What is attacked.
        note: Told what is running.

    Raises:
        InputError: A file is unreadable or shows nothing at the compared sites, public people are among the people, or
            whose records they are is not clear.
    """
    note("choosing sites")
    panel = build_site_panel(require_file(files.panel, "panel VCF"), SiteChoice(files.sites))

    @contextmanager
    def read(path: Path, absent: float, *, chosen: bool = False) -> Iterator[GenotypeStore]:
        note(f"reading {_name(path)}")
        reading = CallReading(chosen=chosen)
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) / "store.zarr"
            yield build_store(_calls(path), panel, place, max_absent=absent, reading=reading)

    with read(files.panel, 0.0) as store:
        public, public_names = store.dosage(), store.samples
    with read(files.people, 0.5) as store:
        dosage, names = store.dosage(), store.samples
    both = set(names) & set(public_names)
    if both:
        raise InputError(
            f"holds {len(both)} of the people of {files.people.name}", where=files.panel,
            cure="give public people who are not among those the files were made of",
        )  # fmt: skip
    labels = labels_of(files.groups, names, public_names)
    found = []
    for path in files.released:
        with read(path, 1.0, chosen=True) as store:
            released, samples = store.dosage(), store.samples
        used = int((released >= 0).sum())
        if not used:
            raise InputError(
                f"shows no genotype at any of the {len(panel)} sites that are compared, the panel's most common",
                where=path, cure="give people and panel of the file's own sites, and as many --sites as it has",
            )  # fmt: skip
        truth = _whose(samples, names, files.pairs, path)
        inputs = BenchInputs(released, dosage, public, truth, labels, seed=files.seed)
        shown = max(used, _shown(path))
        note(f"attacking {_name(path)}")
        attacked = bench(inputs, note)
        found.append(AttackedFile(file=_name(path), found=attacked, shown=shown, not_compared=shown - used))
    return AttackedFiles(files=tuple(found), seed=files.seed)


def _calls(path: Path) -> list[Path]:
    """The files of genotypes that are meant: of a package its records, whatever their form."""
    if not path.is_dir():
        return [require_file(path, "VCF")]
    return release_files(path) if any(path.glob("release.*")) else [path]  # else a VCF Zarr, or refused as none


def _name(path: Path) -> str:
    return f"{path.resolve().name}/{_calls(path)[0].name}" if path.is_dir() and _calls(path) != [path] else path.name


def _shown(path: Path) -> int:
    """Genotypes that a file shows, complete pairs of alleles, wherever they are."""
    count = 0
    with open_source(_calls(path)) as source:
        for record in source.records():
            with suppress(NoGenotypes):
                count += int((record.dosage(0) >= 0).sum())
    return count


def _whose(samples: list[str], people: list[str], pairs: Path | None, where: Path) -> NDArray[np.int64] | None:
    """The row of each record's person; None where records are called like nobody.

    Raises:
        InputError: Only some are, or the table of pairs lacks some.
    """
    number = {name: row for row, name in enumerate(people)}
    if pairs is not None:
        _, rows = read_people(pairs)
        known = {name: fields[1] for name, fields in rows.items() if len(fields) > 1}
        lost = sum(known.get(sample) not in number for sample in samples)
        if lost:
            raise InputError(
                f"names no person for {lost} of {len(samples)} records of {where.name}", where=pairs,
                cure="give a table of released sample and person for all of them",
            )  # fmt: skip
        return np.array([number[known[sample]] for sample in samples], dtype=np.int64)
    same = sum(sample in number for sample in samples)
    if 0 < same < len(samples):
        raise InputError(
            f"{same} of {len(samples)} records are called like a person", where=where,
            cure="say whose records they are with --pairs, or rename them all",
        )  # fmt: skip
    return np.array([number[sample] for sample in samples], dtype=np.int64) if same else None
