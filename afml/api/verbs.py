"""What an institution does around a run, one function a verb of the command line: it parses and prints, these do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from afml.api.cohort import Cohort
from afml.consortium.card import NodeCard
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.config import complaint
from afml.core.errors import ConfigError
from afml.core.files import require_private
from afml.core.progress import Step
from afml.evaluation.limits import LIMITS
from node.prepare import prepare as prepare_work
from node.workspace import Workspace

if TYPE_CHECKING:
    from afml.evaluation.report import Report
    from afml.genomics.release import Output
    from afml.masking.settings import ReleaseSettings
    from afml.release.frontier import FrontierPoint
    from afml.trial.assess import Assessment
    from node.publish import PublicationDone
    from node.reassess import ReassessmentDone, Today
    from node.release import ReleaseDone


def prepare(cohort: Cohort, *, kit: Path, work: Path, progress: Step | None = None) -> NodeCard:
    """`afml prepare`: check and store an institution's data, declare the enrolment on a signed card.

    Args:
        cohort: The data.
        kit: The node's start kit.
        work: Folder to prepare.
        progress: The running step, where one is shown.

    Returns:
        The card, which also lies in `work/card.json`.

    Raises:
        InputError: Anything wrong with a file or a folder; names the place and the cure.
    """
    running = progress or Step("prepare", None, None)
    return prepare_work(load_node_kit(kit), Workspace(require_private(work)), cohort.given, running)


def mask(
    *,
    kit: Path,
    work: Path,
    run: Path,
    ledger: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    output: Output | None = None,
    force: bool = False,
    nested: bool = False,
    phenotypes: Sequence[str] = (),
) -> ReleaseDone:
    """`afml mask`: write an institution's de-identified records, as the next version of the run's package.

    Args:
        kit: The node's start kit.
        work: Work folder with the trained model.
        run: run.json, signed.
        ledger: The institution's ledger; by default the one in the work folder.
        changes: Settings of the release that are not the run's: method, min_group_size, fill, target_rr, patterns.
        output: In which files; by default one VCF.
        force: Release also where the plan says that it is not worth it.
        nested: Keep the groups of earlier releases of these people.
        phenotypes: Traits to release beside the records: NAME, or NAME=EDGE,EDGE for the bins of a number.

    Raises:
        PolicyError: This institution's policy does not allow the release.
        ReleaseError: No plan is good enough or worth it, or too few people share a pattern.
        ConfigError: A setting is wrong.
    """
    from node.guard import enter_policy, open_ledger
    from node.memory import keep_in_kit
    from node.policy import load as load_policy
    from node.release import Wanted, release

    loaded = load_node_kit(kit)
    config = load_run(run, loaded.history)
    settings = _release_settings(config, changes)
    space = Workspace(require_private(work))
    space.require_prepared()
    policy = load_policy(kit)
    policy.require_release(settings.min_group_size)
    with closing(open_ledger(space, loaded, ledger)) as opened:
        enter_policy(opened, policy)
        done = release(space, config, settings, opened, Wanted(output, force, nested, tuple(phenotypes)))
        keep_in_kit(loaded, opened)  # peers hear of it in the next run
        return done


def publish(
    *, kit: Path, work: Path, run: Path, ledger: Path | None = None, version: int | None = None, force: bool = False
) -> PublicationDone:
    """`afml release publish`: say, signed, that a package was evaluated and may leave the house.

    Args:
        kit: The node's start kit.
        work: Work folder with the package.
        run: run.json, signed.
        ledger: The institution's ledger; by default the one in the work folder.
        version: Which release of the run; by default the newest.
        force: Publish also where a target is missed, and sign that.

    Raises:
        InputError: It was not evaluated as it is now, or is published already.
        IntegrityError: It is not what this institution signed.
        PolicyError: This institution's policy does not allow the release.
        ReleaseError: A promise is not kept, or a target is missed.
    """
    from node.guard import open_ledger
    from node.policy import load as load_policy
    from node.publish import evaluated, publish_release

    loaded = load_node_kit(kit)
    config = load_run(run, loaded.history)
    space = Workspace(require_private(work))
    space.require_prepared()
    policy = load_policy(kit)
    evaluated(space, config, version)  # before a ledger is begun where none is
    with closing(open_ledger(space, loaded, ledger)) as opened:
        return publish_release(space, config, policy, opened, version, force=force)


def reassess(
    *,
    kit: Path,
    work: Path,
    run: Path,
    today: Today | None = None,
    ledger: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> ReassessmentDone:
    """`afml reassess`: attack an institution's released files again, and record which promises still hold.

    Args:
        kit: The node's start kit.
        work: Work folder with the release.
        run: run.json, signed.
        today: What is public now, and how the files are attacked; by default nothing that was not then.
        ledger: The institution's ledger; by default the one in the work folder.
        note: Told what is running.

    Raises:
        InputError: The files are not those that were released, or a file of public people cannot be used.
    """
    from node.guard import open_ledger
    from node.memory import keep_in_kit
    from node.reassess import Today as Nothing
    from node.reassess import reassess_release

    loaded = load_node_kit(kit)
    config = load_run(run, loaded.history)
    space = Workspace(require_private(work))
    space.require_prepared()
    with closing(open_ledger(space, loaded, ledger)) as opened:
        done = reassess_release(space, config, opened, today or Nothing(), note)
        keep_in_kit(loaded, opened)  # as of a release
        return done


def release_frontier(
    *, kit: Path, work: Path, run: Path, changes: Mapping[str, Any] | None = None
) -> tuple[FrontierPoint, ...]:
    """`afml mask --frontier`: what releases of more and more patterns would say and give away; writes nothing.

    Args:
        kit: The node's start kit.
        work: Work folder with the trained model.
        run: run.json, signed.
        changes: As of `mask`.

    Raises:
        ConfigError: A setting is wrong.
    """
    from node.release import release_frontier as of_public_people

    config = load_run(run, load_node_kit(kit).history)
    space = Workspace(require_private(work))
    space.require_prepared()
    return of_public_people(space, config, _release_settings(config, changes))


def _release_settings(config: RunConfig, changes: Mapping[str, Any] | None) -> ReleaseSettings:
    from afml.masking.chosen import masking_settings

    agreed = masking_settings(config).release
    try:
        found = type(agreed).model_validate(agreed.model_dump() | dict(changes or {}))
    except ValidationError as error:
        raise ConfigError(complaint(error), where="settings of the release") from None
    if found.min_group_size < agreed.min_group_size:
        raise ConfigError(
            f"groups of {found.min_group_size} people, the signed run promises {agreed.min_group_size} at least",
            where="--min-group-size",
            cure="leave it out, or have a run with smaller groups signed (`afml configure --min-group-size`)",
        )
    return found


@dataclass(frozen=True)
class Finished:
    """A run of the masking task that has ended, trained and released: a trial, or what one institution has of it.

    Attributes:
        run: run.json.
        works: Work folders, one per institution of a trial, or an institution's own.
        aggregator: The aggregator's data folder; None where an institution assesses its own file alone.
        data_kind: Whether the genotypes are simulated.
        about: What `afml phenotypes` wrote beside its table; None where nothing was simulated.
        seed: Of reference profiles, random masks and attackers.
        groups: Table of people's groups (sample, ..., super_pop); None: clusters of genotypes.
        attributes: Undeclared columns of the phenotype tables, NAME or NAME=EDGE,EDGE: what the release tells of them.
        sample: People at most on whom utility is measured; other samples of people shrink in proportion.
        ledger: An institution's ledger, where it assesses its own file; by default the one in its work folder.
    """

    run: Path
    works: Sequence[Path]
    aggregator: Path | None = None
    data_kind: Literal["simulated", "vcf"] = "vcf"
    about: Path | None = None
    seed: int = 1
    groups: Path | None = None
    attributes: tuple[str, ...] = ()
    sample: int = LIMITS.utility_people
    ledger: Path | None = None


def assess(finished: Finished, seconds: dict[str, float] | None = None) -> Assessment:
    """`afml evaluate`, all that it finds: attack and score the releases, attack the training.

    Of a trial it pools everybody in this process, which only open or simulated data may be. Without an aggregator's
    folder it is `afml evaluate --own`: one institution attacks and scores its own file, offline.

    Args:
        finished: The run.
        seconds: Wall times of earlier steps, to which its own are added.

    Raises:
        InputError: A folder is not prepared or holds no release of the run, or the run has not ended; an
            institution's own calls people kept out whom the run was trained on.
        ConfigError: Several institutions' folders, and no aggregator's.
    """
    from afml.trial.assess import Trial
    from afml.trial.assess import assess as assess_trial

    config = RunConfig.load(finished.run)
    works = tuple(Workspace(path) for path in finished.works)
    if finished.aggregator is None and len(works) != 1:
        cure = "give --own with one work folder, or --work and --aggregator of a trial"
        raise ConfigError("an institution evaluates its own file alone", where="afml evaluate", cure=cure)
    if finished.aggregator is not None and not finished.aggregator.is_dir():
        cure = "name the folder of `afml aggregator --data`"
        raise ConfigError("is no folder", where=finished.aggregator, cure=cure)
    trial = Trial(
        config, works, finished.aggregator, finished.data_kind, finished.about, finished.seed, finished.groups,
        finished.attributes, LIMITS.of(finished.sample), finished.ledger,
    )  # fmt: skip
    return assess_trial(trial, {} if seconds is None else seconds)


def evaluate(finished: Finished, out: Path | None = None) -> Report:
    """`afml evaluate`: the report, in figures.

    Args:
        finished: The run.
        out: Folder for report.json, details.json and report.html, where they are wanted.

    Raises:
        InputError: As `assess`.
        IntegrityError: The attack on training established more than the accounts admit.
    """
    found = assess(finished)
    if out is not None:
        found.write(out)
    if found.audited is not None:
        found.audited.require_sound()
    return found.report
