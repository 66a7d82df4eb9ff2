"""An institution's release: plan on public data, mask everybody, write the files, record them in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.bounded import at_most
from afml.core.cluster import each
from afml.core.config import canonical_json
from afml.core.errors import ReleaseError
from afml.core.files import staged_folder, write_bytes, write_secret
from afml.core.simulation import SIMULATION
from afml.data.people import PeopleTable
from afml.genomics.files import GenotypeFiles
from afml.genomics.release import Output
from afml.genomics.released import release_digest, release_files
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.ledger.releases import ReleaseRecord
from afml.ledger.store import Ledger
from afml.masking.chosen import masking_settings, purpose
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.choices import Choices
from afml.release.files import RELEASE_FILES, settled
from afml.release.frontier import FrontierPoint, frontier
from afml.release.grouping import Blocks
from afml.release.package.manifest import Manifest, digests
from afml.release.package.traits import TraitsOfPeople, released_traits, shown_label
from afml.release.plan import ReleasePlan
from afml.release.planning import plan_release
from afml.release.released import Released, chosen, gathered, parts_of
from afml.release.suite import worst_attack
from afml.release.table import codebook_table
from afml.release.versions import PLAN_FILE, Version
from crypto.public.signing import public_bytes
from node.inuse import in_use
from node.package import Made, fill_package, smallest_group
from node.privacy import PrivacyStatement
from node.recognise import recognise_people
from node.workspace import Workspace, refusal


@dataclass(frozen=True)
class Wanted:
    """What an institution wants of a release, beside its settings.

    Attributes:
        output: In which files.
        force: Release also where the plan says that it is not worth it.
        nested: Tell apart only whom earlier releases of these people allow to be, and leave out who would stand out.
        phenotypes: Traits to release beside the records: NAME, or NAME=EDGE,EDGE.
    """

    output: Output | None = None
    force: bool = False
    nested: bool = False
    phenotypes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleaseDone:
    """What was released, in numbers that stay inside.

    Attributes:
        version: Where it is, and which release of the run.
        files: Its records; the other files of the package are beside them.
        released: Who shows what.
        plan: The plan.
        blocks: Groups that earlier releases had made of the people in it; None where it is nested in none.
        left_out: People of the institution who are not in it, so that no joint group becomes too small.
        smallest_group: People who share pattern and released traits, the fewest.
    """

    version: Version
    files: tuple[Path, ...]
    released: Released
    plan: ReleasePlan
    blocks: int | None = None
    left_out: int = 0
    smallest_group: int = 0


def make_plan(work: Workspace, config: RunConfig, settings: ReleaseSettings) -> ReleasePlan:
    """The release plan of a run: from the trained model and the public panel, the same at every node.

    With a `target_rr` it is attacked first.

    Raises:
        ReleaseError: No plan withstands the attacks.
    """
    model = TrainedModel.load(work.model(config.run))
    rr = worst_attack(masking_settings(config).game.genotype_error)
    smallest, without = min(config.enrolled.values()), RELEASE_FILES.get(config.data.kind).untried
    return plan_release(model, _panel(work), settings, people_per_file=smallest, rr=rr, without=without)


def release_frontier(work: Workspace, config: RunConfig, settings: ReleaseSettings) -> tuple[FrontierPoint, ...]:
    """What releases of more and more patterns would say and give away, from public data: nothing is released."""
    with in_use(work):
        model = TrainedModel.load(work.model(config.run))
        without = RELEASE_FILES.get(config.data.kind).untried
        return frontier(model, _panel(work), settings, tuple(config.enrolled.values()), without)


def _panel(work: Workspace) -> NDArray[np.int8]:
    return GenotypeStore.open(GenotypeFiles(work.data).panel_store).dosage()


def _table(work: Workspace, config: RunConfig, plan: ReleasePlan, panel: SitePanel) -> str:
    """The codebook table of a release."""
    risk = masking_settings(config).risk
    names = [trait.name for trait in risk.declared]
    names += [f"component{number + 1}" for number in range(risk.kept_components)]
    told = RELEASE_FILES.get(config.data.kind).told(panel, plan.codebook.shown(plan.masked), plan.masked)
    if len(set(map(tuple, told))) < len(told):
        raise ReleaseError(
            f"patterns of method {plan.method} look alike in data of the kind {config.data.kind}",
            cure="use `afml mask --method codebook`, and fewer --patterns",
        )
    return codebook_table(plan, _panel(work), names, told)


def release(
    work: Workspace, config: RunConfig, settings: ReleaseSettings, ledger: Ledger, wanted: Wanted | None = None
) -> ReleaseDone:
    """Write the next version of `releases/<run>/`: the package of the released files.

    Neither the people's genotypes nor the released ones are in memory as a whole. Why it was refused, where it was, is
    kept in the work folder for whoever asks what comes next.

    Args:
        work: The institution's work folder.
        config: The run.
        settings: How records are released.
        ledger: The institution's; its key signs the package.
        wanted: In which files, and what beside them.

    Raises:
        ReleaseError: Too few people for the group size, alone, with the traits that are released or together with
            earlier releases; no plan reaches `target_rr`; what recipients can expect of the plan is no better than
            chance.
        BudgetError: Somebody in the file has withdrawn consent.
        ConfigError: A trait to release is not declared.
    """
    kept = refusal(work, config.run)
    try:
        done = _release(work, config, settings, ledger, wanted or Wanted())
    except ReleaseError as refused:
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        write_secret(kept, f"{refused}\n".encode())
        raise
    kept.unlink(missing_ok=True)
    return done


def _release(work: Workspace, config: RunConfig, settings: ReleaseSettings, ledger: Ledger, how: Wanted) -> ReleaseDone:
    files = settled(config.data.kind, how.output)
    traits = released_traits(how.phenotypes, masking_settings(config).risk)
    with in_use(work):
        recognise_people(ledger, work)
        people = TraitsOfPeople.of(traits, PeopleTable.load(work.people).columns, work.people)
        plan = make_plan(work, config, settings)
        if plan.at_chance and not how.force:
            raise ReleaseError(
                plan.at_chance,
                where=f"run {config.run}",
                cure="train on more people or at a larger PLE, or give --force",
            )
        store = GenotypeStore.open(GenotypeFiles(work.data).cohort_store)
        blocks = _blocks(ledger, store.samples, plan.min_group_size, people, nested=how.nested)
        parts = parts_of(len(store), len(store.panel))
        released = gathered(plan, each([partial(_chosen, plan, store, rows) for rows in parts]), blocks)
        if traits and released.patterns_used < 2 and not how.force:
            raise ReleaseError(
                f"{plan.min_group_size} people who share pattern and traits leave one pattern, which says nothing",
                where="--phenotype",
                cure="release fewer traits, or a number in fewer bins, or more people together, or give --force",
            )
        made = Made(config, plan, released, people.rows(released.rows))
        version = _write(work, made, ledger, files)
        return ReleaseDone(
            version, tuple(release_files(version.folder)), released, plan,
            len(blocks.least) if blocks is not None and how.nested else None, len(store) - len(released.rows),
            smallest_group(released.patterns, made.people.alike()),
        )  # fmt: skip


def _blocks(ledger: Ledger, samples: Sequence[str], k: int, people: TraitsOfPeople, *, nested: bool) -> Blocks | None:
    """Whom the records may tell apart: within the groups of earlier releases if it is nested, and k beside traits."""
    alike = people.alike() if people.traits else None
    if not nested:
        return None if alike is None else Blocks(np.zeros(len(samples), dtype=np.int64), [k], alike)
    nesting = ledger.releases.nesting(samples, k)
    if ledger.releases.told_traits():  # groups of an earlier release tell them, and patterns may not follow these
        alike = people.alike()
    return Blocks(np.array(nesting.block, dtype=np.int64), nesting.least, alike)


def _write(work: Workspace, made: Made, ledger: Ledger, output: Output) -> Version:
    """Write the package of a release, and its entry first."""
    config, plan, released = made.config, made.plan, made.released
    samples = GenotypeStore.open(GenotypeFiles(work.data).cohort_store).samples
    panel = SitePanel.load(GenotypeFiles(work.data).site_panel)
    statement = PrivacyStatement.load(work.privacy(config.run))
    version = work.releases(config.run).next()
    with staged_folder(version.folder, replace=False) as staged:
        columns = RELEASE_FILES.get(config.data.kind).write(
            staged, panel, released.shown, shows=released.patterns, output=output,
            header=_header(config, plan, statement, panel.drawn_note),
        )  # fmt: skip
        record = ReleaseRecord(
            run=config.run, file_digest=release_digest(staged), model_digest=plan.model.digest(),
            min_group_size=plan.min_group_size, traits=tuple(one.trait.name for one in made.people.traits),
        )  # fmt: skip
        write_bytes(staged / PLAN_FILE, canonical_json(plan.to_dict()))
        manifest = Manifest(
            consortium=config.consortium, origin=ledger.origin, key=public_bytes(ledger.key).hex(), run=config.run,
            version=version.number, release=record.file_digest, files={},
        )  # fmt: skip
        told = {"sites": len(panel), "model": _bounds(statement)}
        fill_package(staged, manifest, made, columns, (_table(work, config, plan, panel), told))
        manifest.model_copy(update={"files": digests(staged)}).signed(ledger.key).save(staged)
        # The record comes first: a release that nobody wrote down must not exist.
        shown = zip(released.rows, released.patterns.tolist(), made.people.words(), strict=True)
        ledger.releases.record(record, {samples[row]: shown_label(pattern, told) for row, pattern, told in shown})
        # Column order re-identifies every record: it stays beside the store, never in the release folder. By name:
        # rows are others once the folder is prepared again.
        write_secret(version.columns, canonical_json([samples[row] for row in released.rows[columns]]))
    return version


def _chosen(plan: ReleasePlan, store: GenotypeStore, rows: slice) -> tuple[Choices, int]:
    return chosen(plan, store.dosage(rows))


def _header(config: RunConfig, plan: ReleasePlan, statement: PrivacyStatement, drawn: str) -> list[str]:
    return [
        f"##afml_run={config.run}",
        f"##afml_model={plan.model.digest()}",
        f"##afml_site_panel={config.data.fingerprint}",
        *([f"##afml_panel={drawn}"] if drawn else []),
        f"##afml_method={plan.method}",
        f"##afml_patterns={len(plan.codebook.patterns)}",
        f"##afml_min_group_size={plan.min_group_size}",
        f"##afml_masked={RELEASE_FILES.get(config.data.kind).nothing[plan.fill]}",
        *_privacy(statement),
        "##afml_records_dp=false; records are protected by masking and group size, not by differential privacy",
        f"##afml_use=made for {_task(config)}",
    ]


def _privacy(statement: PrivacyStatement) -> list[str]:
    """What bounds what the model reveals; of a simulation, that nothing does."""
    if statement.ple_sigma is None:
        why = "noise came from a seed, and the MODEL protects nobody"
        return [f"##afml_insecure=simulation; {why}", f"##afml_model_ple_sigma=inf; {SIMULATION}"]
    bound = f"{at_most(statement.ple_sigma, 4)} at delta {statement.delta:g}"
    return [f"##afml_model_ple_sigma={bound}; bounds what the MODEL reveals"]


def _bounds(statement: PrivacyStatement) -> str:
    """The same for the card."""
    if statement.ple_sigma is None:
        return "The model is of a simulation: its noise came from a seed, and nothing bounds what it reveals."
    bound = f"{at_most(statement.ple_sigma, 4)} sigma at delta {statement.delta:g}"
    return (
        f"The privacy-loss estimate of the model ({bound}) bounds what the model reveals, and nothing of the records."
    )


def _task(config: RunConfig) -> str:
    """What a file is good for, and what not."""
    risk, unfit = masking_settings(config).risk, RELEASE_FILES.get(config.data.kind).unfit
    return f"{purpose(risk)}; {'beyond these ' if risk.attributes else ''}not for {unfit}"
