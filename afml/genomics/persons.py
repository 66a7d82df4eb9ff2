"""One person, one row: columns of the same person are merged, and what resembles them is found and told.

Choices: people whose records are the same under different names are refused, or folded into one; relatives are
reported, refused, or folded, which keeps of each family the member with the most calls and leaves the others out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.core.errors import GateError
from afml.core.files import write_secret
from afml.data.persons import Matched, columns_of
from afml.genomics.kinship import CONCORDANT, SECOND_DEGREE, Pair, kinship_sites, related, resolution
from afml.genomics.packed import PackedDosage
from afml.genomics.store import GenotypeStore, people_at_once

#: Sites at which two records must both be called before their agreement says anything of who they are.
_NAMESAKE_SITES = 16

Duplicates = Literal["refuse", "fold"]
Relatives = Literal["report", "refuse", "fold"]
#: Pairs by name, beside the store: nobody but the institution reads them.
PAIRS_FILE, COUNTS_FILE = "related.tsv", "persons.json"


class PersonCounts(Settings):
    """What `afml prepare` tells of people and their columns, in numbers.

    Attributes:
        columns: Of the VCF.
        people: Rows of the store.
        same: Pairs of columns under different people's names whose records are the same.
        relatives: Pairs of relatives, to the degree that the sites can tell.
        same_in_panel: People whose record the public panel holds.
        relatives_in_panel: People with a relative in it.
        same_told: Whether the sites can tell the same person's records from strangers'.
        degree: Smallest kinship that they can tell from chance; 1 for none.
        matched: Lines of --people and --without that name somebody.
        names_in_panel: Columns whose name the panel has for somebody with another record.
    """

    columns: int
    people: int
    same: int
    relatives: int
    same_in_panel: int
    relatives_in_panel: int
    same_told: bool
    degree: float
    matched: Matched = Matched()
    names_in_panel: int = 0

    def remarks(self) -> tuple[str, ...]:
        """In lines, for the person who prepares."""
        lines = [*self.matched.remarks()]
        if self.columns != self.people:
            lines.append(f"{self.columns} columns of the VCF became {self.people} people")
        if not self.same_told:
            lines.append("these sites are too few or too linked to tell whether two columns are the same person")
        elif self.same:
            lines.append(f"{self.same} pairs of columns were the same record under two names and count as one person")
        if self.degree < 1:
            to = "second" if self.degree == SECOND_DEGREE else "first"
            lines.append(f"{self.relatives} pairs of relatives to the {to} degree (KING kinship >= {self.degree:g})")
        else:
            lines.append("these sites are too few or too linked to find relatives")
        if self.same_in_panel or self.relatives_in_panel:
            lines.append(
                f"{self.same_in_panel} people are in the public panel as well, {self.relatives_in_panel} have a "
                "relative there"
            )
        return tuple(lines)


class Choice(NamedTuple):
    """What is to be done about columns that belong together.

    Attributes:
        person_of: Name of a column -> person, where they differ.
        duplicates: About the same record under different people's names, or in the panel too.
        relatives: About relatives.
        where: The VCF, to blame.
        panel_overlap: How many people may be in the panel as well.
    """

    person_of: Mapping[str, str]
    duplicates: Duplicates
    relatives: Relatives
    where: Path
    panel_overlap: int = 0


class People(NamedTuple):
    """Who the columns of a store are.

    Attributes:
        columns: person -> columns that are merged into one record.
        counts: For the record.
        pairs: Of columns that belong together.
    """

    columns: dict[str, list[int]]
    counts: PersonCounts
    pairs: list[Pair]

    def require_apart(self, choice: Choice, listed: Path) -> None:
        """Refuse columns that belong together and were not said to, where that is the choice.

        Args:
            choice: What is to be done about them.
            listed: Where the pairs are (`save_people`).

        Raises:
            GateError: Says how many they are and, where it is about pairs, has the list of them.
        """
        found = self.counts
        see = f"see them in refused/{listed.name} of the work folder, which stays here; then"
        if found.same and choice.duplicates == "refuse":
            problem = f"{found.same} pairs of columns are the same record under two people's names"
            cure = f"{see} say who is who in --people, or give --duplicates fold"
            raise _refused(problem, choice, cure, listed)
        if found.same_in_panel > choice.panel_overlap and choice.duplicates == "refuse":
            raise _refused(
                f"{found.same_in_panel} people are in the public panel as well", choice,
                f"leave them out of one of the two, or give --max-panel-overlap {found.same_in_panel} or --duplicates "
                "fold to go on with them",
            )  # fmt: skip
        if choice.relatives == "refuse" and (found.relatives or found.relatives_in_panel):
            raise _refused(
                f"{found.relatives} pairs of people are relatives, and {found.relatives_in_panel} people have a "
                "relative in the public panel", choice,
                f"{f'{see} ' if found.relatives else ''}leave some of them out, or give --relatives report or "
                "--relatives fold", listed if found.relatives else None,
            )  # fmt: skip

    def told_of(self, matched: Matched) -> People:
        """The same, with which lines of the institution's files were of use."""
        return self._replace(counts=self.counts.model_copy(update={"matched": matched}))

    def names(self, samples: Sequence[str], person_of: Mapping[str, str]) -> dict[str, str]:
        """Every name that a table may give a person -> the person's own: of a column, of the map, of both if folded."""
        found = dict(person_of)
        for person, columns in self.columns.items():
            for sample in (samples[column] for column in columns):
                found[sample] = found[person_of.get(sample, sample)] = person
        return found


def find_people(store: GenotypeStore, panel: GenotypeStore, choice: Choice) -> People:
    """Who the columns are, by the map and by their genotypes; nothing is refused yet (`People.require_apart`).

    Args:
        store: Every column of the VCF.
        panel: The public panel; where its people are drawn, none of them is anybody's relative.
        choice: What is to be done about it.
    """
    sites = kinship_sites(store.panel)
    own, calls = _calls(store, sites)
    public, _ = _calls(panel, sites)
    told = resolution(own, public)
    named = columns_of(store.samples, choice.person_of)
    person = {column: name for name, columns in named.items() for column in columns}
    pairs = [pair for pair in related(own, told) if person[pair.first] != person[pair.second]]
    across = [] if store.panel.drawn_people else related(own, told, public)
    same, kin = [p for p in pairs if p.same], [p for p in pairs if not p.same]
    shared, other = ([], []) if store.panel.drawn_people else _namesakes(store.samples, panel.samples, own, public)
    in_panel = {person[pair.first] for pair in across if pair.same} | {person[column] for column in shared}
    near_panel = {person[pair.first] for pair in across} - in_panel
    columns = _merged(named, person, same)
    if choice.relatives == "fold":
        columns = _one_of_each_family(columns, kin, calls)
    counts = PersonCounts(
        columns=len(store), people=len(columns), same=len(same), relatives=len(kin), same_in_panel=len(in_panel),
        relatives_in_panel=len(near_panel), same_told=told.same, degree=told.degree,
        names_in_panel=len(other),
    )  # fmt: skip
    return People(columns, counts, pairs)


def _namesakes(
    samples: Sequence[str], panel: Sequence[str], own: PackedDosage, public: PackedDosage
) -> tuple[list[int], list[int]]:
    """Columns whose name the panel has, too: (those with the same record there, those with another).

    A name says what genotypes of few or linked sites cannot: the same calls under the same name are one person's.
    """
    place = {name: row for row, name in enumerate(panel)}
    same: list[int] = []
    other: list[int] = []
    for column, name in enumerate(samples):
        if name in place:
            theirs, ours = public.dosage(np.array([place[name]])), own.dosage(np.array([column]))
            both = (theirs >= 0) & (ours >= 0)
            alike = float((theirs == ours)[both].mean()) if both.any() else 0.0
            (same if alike >= CONCORDANT and both.sum() >= _NAMESAKE_SITES else other).append(column)
    return same, other


def _calls(store: GenotypeStore, sites: NDArray[np.int64]) -> tuple[PackedDosage, NDArray[np.int64]]:
    """(dosages of every column at some sites, calls of each column at all sites [columns])."""
    some = PackedDosage.empty(len(store), len(sites))
    calls = np.empty(len(store), dtype=np.int64)
    for rows in people_at_once(store):
        block = store.dosage(rows)
        some.put(rows, block[:, sites])
        calls[rows] = (block >= 0).sum(axis=1)
    return some, calls


def save_people(folder: Path, found: People, samples: Sequence[str]) -> Path:
    """Write the counts, and the pairs by name, readable by their owner only; returns the file of the pairs."""
    (folder / COUNTS_FILE).write_bytes(found.counts.canonical())
    rows = [("sample", "sample", "kinship", "same"), *(
        (samples[one], samples[other], f"{kinship:.3f}", str(int(same))) for one, other, kinship, same in found.pairs
    )]  # fmt: skip
    write_secret(folder / PAIRS_FILE, "".join("\t".join(row) + "\n" for row in rows).encode())
    return folder / PAIRS_FILE


def merge_calls(calls: NDArray[np.int8], groups: Iterable[Sequence[int]]) -> NDArray[np.int8]:
    """One record of each person: calls on which all of the person's columns agree; where they do not, a missing one.

    Args:
        calls: int8 [sites, columns, 2] in {0, 1, -1}; either both of a pair are missing or none.
        groups: Columns of each person.

    Returns:
        int8 [sites, people, 2]; pairs of merged records are unphased.
    """
    columns = [list(own) for own in groups]
    merged = np.empty((len(calls), len(columns), calls.shape[2]), dtype=np.int8)
    first = np.array([own[0] for own in columns], dtype=np.int64)
    for site, of_site in zip(calls, merged, strict=True):  # one record is most people's: a site at a time, no copy
        of_site[:] = site[first]
    for person, own in enumerate(columns):
        if len(own) > 1:
            merged[:, person] = _agreed(calls[:, own])
    return merged


def _agreed(calls: NDArray[np.int8]) -> NDArray[np.int8]:
    """`merge_calls` of one person's columns, int8 [sites, columns, 2] -> [sites, 2]."""
    called = calls[:, :, 0] >= 0
    copies = calls.sum(axis=2, dtype=np.int8)
    least = np.where(called, copies, 3).min(axis=1)
    most = np.where(called, copies, -1).max(axis=1)
    pair = np.stack([most > 0, most > 1], axis=1).astype(np.int8)
    return np.where((least == most)[:, None], pair, np.int8(-1))


def _refused(problem: str, choice: Choice, cure: str, listed: Path | None = None) -> GateError:
    error = GateError(problem, where=choice.where, cure=cure)
    error.listed = listed
    return error


def _merged(named: dict[str, list[int]], person: Mapping[int, str], same: list[Pair]) -> dict[str, list[int]]:
    """The people whose records are the same as one, under the name of the first of them."""
    columns = {name: list(places) for name, places in named.items()}
    now = {name: name for name in named}  # person -> the person it was folded into
    for pair in same:
        one, other = sorted((now[person[pair.first]], now[person[pair.second]]), key=lambda name: columns[name][0])
        if one != other:
            columns[one] += columns.pop(other)
            now = {name: one if into == other else into for name, into in now.items()}
    return {name: sorted(places) for name, places in columns.items()}


def _one_of_each_family(
    columns: dict[str, list[int]], kin: list[Pair], calls: NDArray[np.int64]
) -> dict[str, list[int]]:
    """Nobody who has a relative among those kept; the person with the most calls is kept first."""
    place = {column: name for name, places in columns.items() for column in places}
    relatives: dict[str, set[str]] = {name: set() for name in columns}
    for pair in kin:
        one, other = place[pair.first], place[pair.second]
        if one != other:
            relatives[one].add(other)
            relatives[other].add(one)
    kept: set[str] = set()
    for name in sorted(columns, key=lambda name: (-int(calls[columns[name]].max()), columns[name][0])):
        if not relatives[name] & kept:
            kept.add(name)
    return {name: places for name, places in columns.items() if name in kept}
