"""A public panel in one file: the sites that a consortium agreed on, and the genotypes of public people there.

A ZIP archive of `about.json`, `sites.tsv` (the site panel, docs/DATA.md) and, where the panel has people, their names
in `people.txt` and their calls in `calls.bin`: of each site in order the copies of ALT of everybody, two bits each (3:
no call), four people a byte, the first in the lowest bits. A panel known by frequencies alone has no calls: its people
are drawn from the sites' digest wherever it is used.

The digest is that of what the file says, not of how it is compressed: SHA-256 over the digests of the sites and of the
names with the packed calls. Phase is not kept: nothing reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.core.errors import InputError, IntegrityError
from afml.core.files import require_file, staged_file
from afml.genomics.calls.assembly import Assembly
from afml.genomics.choice import Chosen
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore

_ABOUT, _SITES, _PEOPLE, _CALLS = "about.json", "sites.tsv", "people.txt", "calls.bin"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NO_CALL = 3
_BYTES_AT_ONCE = 16 << 20
_MOST_TEXT = 1 << 30  # of sites.tsv: nothing larger is unpacked


class About(Settings):
    """What a panel file says of itself.

    Attributes:
        afml_panel: Version of this form.
        people: Public people whose calls it holds; 0 for a panel of frequencies.
        calls: Digest of the people's names and packed calls, hex; empty without people.
        waterfall: How the sites were chosen: (what, how many).
        lengths: Canonical contig -> length in bases, as the file says that the panel was made of.
        words: What that file says of its assembly.
    """

    afml_panel: int = 1
    people: int
    calls: str
    waterfall: tuple[tuple[str, int], ...]
    lengths: dict[str, int]
    words: tuple[str, ...]

    def assembly(self) -> Assembly:
        """What is known of the build."""
        return Assembly(self.lengths, self.words)


class Panel(NamedTuple):
    """A panel file, read and checked but for its calls.

    Attributes:
        path: The file.
        about: What it says of itself.
        sites: The sites.
        people: Names of the people.
    """

    path: Path
    about: About
    sites: SitePanel
    people: list[str]

    def digest(self) -> str:
        """Hex SHA-256 of what the panel is."""
        return hashlib.sha256(f"{self.sites.digest()}\n{self.about.calls}\n".encode()).hexdigest()

    @contextlib.contextmanager
    def calls(self) -> Iterator[Callable[[slice], NDArray[np.int8]]]:
        """Open the calls of the people, to be read site by site in order.

        Yields:
            Panel-minor dosage int8 [people, sites] in {0, 1, 2, -1} of the next sites, given as a slice.

        Raises:
            IntegrityError: The calls are not those whose digest the file names, told when all are read.
        """
        digest, width = hashlib.sha256(_named(self.people)), _row_bytes(len(self.people))
        with zipfile.ZipFile(self.path) as archive, archive.open(_CALLS) as held:

            def dosage(sites: slice) -> NDArray[np.int8]:
                packed = held.read((sites.stop - sites.start) * width)
                digest.update(packed)
                copies = _unpacked(packed, sites.stop - sites.start, len(self.people))
                minor = self.sites.minor_is_alt[sites, None] | (copies < 0)
                return np.where(minor, copies, 2 - copies).astype(np.int8).T

            yield dosage
        if digest.hexdigest() != self.about.calls:
            raise IntegrityError("panel was changed after it was made", where=self.path, cure="fetch it again")

    def require_whole(self) -> None:
        """Refuse a file whose calls were changed.

        Raises:
            IntegrityError: Likewise.
        """
        if self.people:
            with self.calls() as dosage:
                rows = _sites_at_once(len(self.people))
                for start in range(0, len(self.sites), rows):
                    dosage(slice(start, min(start + rows, len(self.sites))))


def write_panel(path: Path, chosen: Chosen, people: GenotypeStore | None, assembly: Assembly) -> None:
    """Write a panel file; the same sites and people give the same digest anywhere.

    Args:
        path: The file.
        chosen: The sites, and how they were chosen.
        people: Public people at these sites; None for a panel of frequencies.
        assembly: What is known of the build.
    """
    panel = chosen.panel
    names = [] if people is None else people.samples
    count, digest = len(names), hashlib.sha256(_named(names))
    with staged_file(path) as staged, zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry(_SITES), panel.text())
        if people is not None:
            archive.writestr(_entry(_PEOPLE), _named(names))
            with archive.open(_entry(_CALLS), "w", force_zip64=True) as out:
                for start in range(0, len(panel), _sites_at_once(count)):
                    packed = _packed(people.copies(slice(start, start + _sites_at_once(count))))
                    digest.update(packed)
                    out.write(packed)
        about = About(
            people=count,
            calls=digest.hexdigest() if count else "",
            waterfall=chosen.waterfall,
            lengths={name: assembly.lengths[name] for name in assembly.lengths if name in set(panel.chrom)},
            words=assembly.words,
        )
        archive.writestr(_entry(_ABOUT), about.canonical())


def read_panel(path: Path) -> Panel:
    """Read a panel file.

    Raises:
        InputError: It is missing, or no panel file.
        IntegrityError: The sites are not those whose digest it names.
    """
    require_file(path, "site panel")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if max(sizes.get(name, 0) for name in (_SITES, _ABOUT, _PEOPLE)) > _MOST_TEXT:
                raise InputError("site panel is larger than any", where=path, cure="fetch it again")
            about = About.model_validate(json.loads(archive.read(_ABOUT)))
            sites = SitePanel.parse(archive.read(_SITES), path)
            people = archive.read(_PEOPLE).decode().splitlines() if about.people else []
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError, OSError, NotImplementedError):
        raise InputError("is not a panel file", where=path, cure="make one with `afml panel create`") from None
    if about.afml_panel != 1:
        raise InputError("was made by a later version", where=path, cure="make it again with `afml panel create`")
    whole = sizes.get(_CALLS, 0) == len(sites) * _row_bytes(about.people) and len(people) == about.people
    if bool(about.people) == bool(sites.drawn_people) or not whole:
        raise IntegrityError("panel does not hold the calls of its people", where=path, cure="fetch it again")
    return Panel(path, about, sites, people)


def summary(panel: Panel) -> dict[str, Any]:
    """What a panel is, JSON values."""
    sites = panel.sites
    return {
        "digest": panel.digest(),
        "sites_digest": sites.digest(),
        "build": panel.about.assembly().build or None,
        "sites": len(sites),
        "indels": sum(len(ref) != len(alt) for ref, alt in zip(sites.ref, sites.alt, strict=True)),
        "annotated": int((sites.annotations[:, 1:] > 0).any(axis=1).sum()),
        "contigs": dict(Counter(sites.chrom)),
        "least_maf": float(sites.maf.min(initial=0.5)),
        "most_maf": float(sites.maf.max(initial=0.0)),
        "people": len(panel.people),
        "drawn": sites.drawn_note or None,
        "waterfall": {what: number for what, number in panel.about.waterfall if number},
    }


def facts(panel: Panel) -> list[tuple[str, str]]:
    """(what, value) of a panel, for people to read."""
    told = summary(panel)
    return [
        ("digest", told["digest"]),
        ("digest of the sites", told["sites_digest"]),
        ("build", told["build"] or "not said"),
        ("sites", f"{told['sites']}, {told['indels']} of them indels, {told['annotated']} annotated"),
        ("contigs", ", ".join(f"{name} ({number})" for name, number in told["contigs"].items())),
        ("frequencies", f"{told['least_maf']:.4f} to {told['most_maf']:.4f}"),
        ("people", told["drawn"] or f"{told['people']} people"),
        *((what, str(number)) for what, number in told["waterfall"].items()),
    ]


def difference(one: Panel, other: Panel) -> list[str]:
    """In lines, how two panels differ; none where their digests are equal."""
    if one.digest() == other.digest():
        return []
    ours, theirs = one.sites.index(), other.sites.index()
    both = [(ours[key], theirs[key]) for key in ours if key in theirs]
    alike = one.path.name == other.path.name
    names = [str(panel.path if alike else panel.path.name) for panel in (one, other)]
    lines = [
        f"sites in both: {len(both)}",
        f"sites in {names[0]} alone: {len(ours) - len(both)}",
        f"sites in {names[1]} alone: {len(theirs) - len(both)}",
    ]
    if both:
        a, b = (np.array(places) for places in zip(*both, strict=True))
        minor = int((one.sites.minor_is_alt[a] != other.sites.minor_is_alt[b]).sum())
        apart = np.abs(_of_alt(one.sites)[a] - _of_alt(other.sites)[b])
        harm = int((one.sites.annotations[a, 1:] != other.sites.annotations[b, 1:]).any(axis=1).sum())
        lines += [
            f"of those in both, another allele is counted at: {minor}",
            f"of those in both, frequencies differ at: {int((apart > 0).sum())}, by {apart.max():.4f} at most",
            f"of those in both, annotations differ at: {harm}",
        ]
    return [*lines, *_people(one, other, same_sites=list(ours) == list(theirs))]


def _people(one: Panel, other: Panel, *, same_sites: bool) -> list[str]:
    """In lines, how the people of two panels differ."""
    counts = [f"{len(p.people)}" if p.people else f"{p.sites.drawn_people} drawn of frequencies" for p in (one, other)]
    if not (one.people and other.people):
        return [f"people: {counts[0]} and {counts[1]}"]
    both = len(set(one.people) & set(other.people))
    lines = [f"people: {counts[0]} and {counts[1]}, {both} of the same name in both"]
    if not same_sites:
        return [*lines, "their calls: not compared, as the sites are not the same"]
    if one.people != other.people:
        return [*lines, "their calls: not compared, as the people or their order are not the same"]
    return [*lines, f"their calls: {'the same' if one.about.calls == other.about.calls else 'not the same'}"]


def _of_alt(sites: SitePanel) -> NDArray[np.float64]:
    return np.where(sites.minor_is_alt, sites.maf, 1 - sites.maf)


def _named(people: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in people).encode()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _row_bytes(people: int) -> int:
    return -(-people // 4)


def _sites_at_once(people: int) -> int:
    return max(1, _BYTES_AT_ONCE // max(1, people))


def _packed(copies: NDArray[np.int8]) -> bytes:
    """Copies [sites, people] in {0, 1, 2, -1} as two bits each."""
    codes = np.where(copies < 0, _NO_CALL, copies).astype(np.uint8)
    codes = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 4)))
    four = codes.reshape(len(codes), -1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(four, axis=2)
    return packed.tobytes()


def _unpacked(packed: bytes, sites: int, people: int) -> NDArray[np.int8]:
    """The inverse of `_packed`; [sites, people]."""
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(sites, -1, 1)
    codes = (rows >> np.array([0, 2, 4, 6], dtype=np.uint8)) & 3
    codes = codes.reshape(sites, -1)[:, :people]
    return np.where(codes == _NO_CALL, -1, codes).astype(np.int8)
