"""Putting the public panel into place at an institution: out of its panel file, or out of the files it is made from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from afml.genomics.build import build_panel_store, fill_store
from afml.genomics.calls.account import CallReading
from afml.genomics.calls.assembly import Assembly
from afml.genomics.calls.quality import QualityPolicy
from afml.genomics.calls.site_calls import Rules
from afml.genomics.choice import SiteChoice, choose_sites
from afml.genomics.files import GenotypeFiles
from afml.genomics.frequencies import open_panel
from afml.genomics.options import GenotypeOptions
from afml.genomics.panelfile import Panel, read_panel
from afml.genomics.presets import require_build
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore


class PublicSites(NamedTuple):
    """The sites of the public panel.

    Attributes:
        panel: The sites.
        waterfall: How they were chosen: (what, how many).
        assembly: What the panel's header says of the build.
        where: Its file, for messages.
        held: The panel file; None where the panel is made of other files.
    """

    panel: SitePanel
    waterfall: tuple[tuple[str, int], ...]
    assembly: Assembly
    where: Path
    held: Panel | None


def public_sites(given: GenotypeOptions) -> PublicSites:
    """The sites that an institution is told to use.

    Raises:
        InputError: As `choose_sites` and `read_panel`.
    """
    if given.site_panel is not None:
        held = read_panel(given.site_panel)
        return PublicSites(held.sites, held.about.waterfall, held.about.assembly(), given.site_panel, held)
    assembly = panel_assembly(given.panel_vcf, given.choice)
    chosen = choose_sites(given.panel_vcf, given.choice)
    return PublicSites(chosen.panel, chosen.waterfall, assembly, given.panel_vcf[0], None)


def panel_assembly(paths: tuple[Path, ...], choice: SiteChoice) -> Assembly:
    """What the header of a panel's files says of the build; nothing of a table.

    Raises:
        InputError: As `open_panel`, or regions of another build are to be left out.
    """
    with open_panel(paths, choice.field) as source:
        found = Assembly.of(source.contigs, source.lines)
    require_build(choice.presets, found.build, paths[0])
    return found


def public_people(sites: PublicSites, given: GenotypeOptions, build: str | None, files: GenotypeFiles) -> GenotypeStore:
    """Store the panel's people, or those drawn where it has none.

    Args:
        sites: Of the panel.
        given: What the institution is told.
        build: Of the genome.
        files: Where it goes.

    Raises:
        InputError: As `build_panel_store`.
        IntegrityError: The panel file's calls are not those that it names.
    """
    if sites.held is not None and sites.held.people:
        with sites.held.calls() as dosage:
            return fill_store(files.panel_store, sites.panel, sites.held.people, dosage)
    reading = CallReading(Rules(QualityPolicy(filters=given.panel_filters), build, given.fasta))
    return build_panel_store(given.panel_vcf, sites.panel, files.panel_store, reading=reading)
