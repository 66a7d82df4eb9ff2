"""The people of a study: a public panel and several institutions, held-out people marked.

Real genomes are split and read once and kept in a cache folder; simulated ones are made when asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.files import require_file, staged_file, staged_folder
from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.drawn import draw_people
from afml.genomics.partition import Parts, split
from afml.genomics.sites import SitePanel
from afml.study.genomes import simulate_dosage, simulated_panel

EXOMES = "1kg_grch38_exome_common_maf1pct.2503.vcf.gz"
PEOPLE = "panel_2504.tsv"
_EVERY_SITE = 10_000_000
Note = Callable[[str], None]


class DataSettings(Settings):
    """Which people and which sites.

    `source` is the SHA-256 of the genotype file for real data (its name says nothing about its content).
    """

    kind: Literal["vcf", "simulated"]
    source: str = ""
    sites: int = Field(ge=0, description="most common sites by panel MAF; 0: all of at least 1 %")
    nodes: int = Field(default=5, ge=1)
    panel_people: int = Field(default=500, ge=2)
    panel_used: int = Field(default=0, ge=0, description="train with this many panel people only; 0: all")
    panel: Literal["people", "frequencies"] = Field(
        default="people",
        exclude_if=lambda value: value == "people",
        description="what the consortium has: panel people, or their allele frequencies alone, from which it draws",
    )
    people: int = Field(default=0, ge=0, description="private people; simulated data only")
    split_seed: int = Field(default=1, description="who is in the panel, and in which institution")
    holdout: float = Field(default=0.25, gt=0, lt=1)
    holdout_seed: int = Field(default=1, description="who is held out")


@dataclass(frozen=True, eq=False)
class StudyData:
    """What every run of a study shares.

    Attributes:
        panel: The agreed sites.
        panel_dosage: int8 [panel people, S], what the consortium trains and plans with.
        known: int8 [public people, S], what attackers have: real people, also where the consortium draws its own.
        files: int8 [people of the institution, S], one per institution.
        enrolled: bool [people of the institution], False for held-out people.
        folder: The split VCFs, where there are any.
    """

    panel: SitePanel
    panel_dosage: NDArray[np.int8]
    known: NDArray[np.int8]
    files: tuple[NDArray[np.int8], ...]
    enrolled: tuple[NDArray[np.bool_], ...]
    folder: Path | None = None

    @property
    def people(self) -> int:
        """Private people over all institutions."""
        return sum(len(file) for file in self.files)

    def by_file(self, values: NDArray[np.int8]) -> tuple[NDArray[np.int8], ...]:
        """Split [all private people, ...] into one array per institution."""
        return tuple(np.split(values, np.cumsum([len(file) for file in self.files])[:-1]))


def held_out(samples: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """bool [people]: who is kept out of training, each drawn alone, as `afml prepare --seed` draws them."""
    key = f"holdout {seed}".encode()
    draws = [int.from_bytes(hmac.digest(key, name.encode(), "sha256")[:8], "big") / 2.0**64 for name in samples]
    return np.array(draws) < share


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with require_file(path, "genotypes").open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def exomes(folder: Path) -> tuple[Path, Path]:
    """(genotypes, people table) of the real exomes in a data folder.

    Raises:
        InputError: They are not there.
    """
    cure = "point DATA (--data) at the folder that holds the 1000 Genomes exomes"
    return require_file(folder / EXOMES, "VCF", cure), require_file(folder / PEOPLE, "people table", cure)


def load(settings: DataSettings, *, source: Path | None, cache: Path, note: Note = lambda _: None) -> StudyData:
    """The people of a study.

    Args:
        settings: Which.
        source: Folder of real data; None where they are simulated.
        cache: Folder for what is made once.
        note: Told what is being made.

    Raises:
        InputError: Real data are missing, or are not the file that the settings name.
    """
    if settings.kind == "simulated":
        return simulated(settings)
    if source is None:
        raise InputError("real data are needed", cure="give --data")
    vcf, people = exomes(source)
    key = f"{settings.source[:12]}-split{settings.split_seed}-nodes{settings.nodes}-panel{settings.panel_people}"
    folder = cache / key
    if not folder.exists():
        note("splitting the genotypes")
        if file_digest(vcf) != settings.source:
            raise InputError("is not the file of these settings", where=vcf, cure="start the study again")
        with staged_folder(folder) as staged:
            split(vcf, people, staged, Parts(settings.nodes, settings.panel_people), seed=settings.split_seed)
    stored = folder / f"sites-{settings.sites or 'all'}"
    if not stored.exists():
        note(f"reading {settings.sites or 'all'} sites")
        _store(folder, stored, settings)
    panel = SitePanel.load(stored / "site_panel.json")
    names: list[list[str]] = json.loads((stored / "samples.json").read_text())
    with np.load(stored / "genotypes.npz", allow_pickle=False) as arrays:
        files = tuple(arrays[f"node-{node}"] for node in range(1, settings.nodes + 1))
        people = arrays["panel"]
    enrolled = tuple(~held_out(samples, settings.holdout, settings.holdout_seed) for samples in names)
    return StudyData(*_panel(settings, panel, people), files, enrolled, folder)


def _panel(
    settings: DataSettings, panel: SitePanel, people: NDArray[np.int8]
) -> tuple[SitePanel, NDArray[np.int8], NDArray[np.int8]]:
    """(sites, the consortium's panel, the attackers') of a study with these panel people."""
    used = people[: settings.panel_used or None]
    if settings.panel == "people":
        return panel, used, used
    drawn = replace(panel, drawn_people=len(used))
    return drawn, draw_people(drawn), used


def _store(folder: Path, stored: Path, settings: DataSettings) -> None:
    """Read the split VCFs at the panel's sites once."""
    panel = build_site_panel(folder / "panel.vcf.gz", SiteChoice(settings.sites or _EVERY_SITE))
    with staged_folder(stored) as staged, tempfile.TemporaryDirectory(dir=folder) as scratch:
        arrays, names = {}, []
        for part in ("panel", *(f"node-{node}" for node in range(1, settings.nodes + 1))):
            opened = build_store(folder / f"{part}.vcf.gz", panel, Path(scratch) / f"{part}.zarr")
            arrays[part] = opened.dosage()
            if part != "panel":
                names.append(opened.samples)
        panel.save(staged / "site_panel.json")
        with staged_file(staged / "samples.json") as path:
            path.write_text(json.dumps(names))
        np.savez_compressed(staged / "genotypes.npz", allow_pickle=False, **arrays)


def simulated(settings: DataSettings) -> StudyData:
    """Simulated people, dealt out evenly; the panel is of the same populations."""
    people = settings.people
    dosage = simulate_dosage(settings.panel_people + people, settings.sites, settings.split_seed)
    panel_dosage, private = dosage[: settings.panel_people], dosage[settings.panel_people :]
    files = tuple(np.array_split(private, settings.nodes))
    enrolled = tuple(
        ~held_out([f"{node}-{row}" for row in range(len(file))], settings.holdout, settings.holdout_seed)
        for node, file in enumerate(files, start=1)
    )
    return StudyData(*_panel(settings, simulated_panel(panel_dosage), panel_dosage), files, enrolled)
