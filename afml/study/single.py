"""One run of the study: train in one process, plan, release every file, attack, measure."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import afml
from afml.audit.run import audit_run
from afml.audit.subject import Subject
from afml.consortium.run import RunConfig
from afml.evaluation.attacks.base import Int8
from afml.evaluation.details import PhenotypeDetails
from afml.evaluation.evaluate import evaluate
from afml.evaluation.inputs import EvaluationInputs, Institution, OtherRelease
from afml.evaluation.utility import Outcome
from afml.genomics.liability import simulate_phenotype
from afml.masking.chosen import masking_settings
from afml.masking.enrolled import Enrolled
from afml.masking.kind import train_masking
from afml.privacy.accountant import epsilon
from afml.privacy.noise import broken_event, round_event
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from afml.release.planning import plan_release
from afml.release.released import apply_plan, mask_alone
from afml.release.table import decoder_of
from afml.study.data import Note, StudyData
from afml.study.points import by_candidates, comparands_of, operating_points
from afml.study.record import Federated, PhenotypeUtility, RunRecord, private_digest
from afml.study.rivals import Trained, rivals
from afml.study.settings import EVALUATION_SEED, RunSettings

#: A second phenotype of a run is simulated from this far along the seeds.
SECOND_PHENOTYPE = 500
_CODE = (
    "core",
    "consortium",
    "data",
    "genomics",
    "privacy",
    "training",
    "masking",
    "release",
    "evaluation",
    "audit",
    "study",
)
#: Random streams and the rounding of updates, which an in-process run takes from the codec.
_CODEC = ("random.py", "grid.py", "rotation.py")
#: Files of the study itself that decide what a run gives; the others only report it.
_OWN_CODE = {"data.py", "genomes.py", "points.py", "rivals.py", "single.py"}
_REPORTING = {"page.py", "terminal.py"}


class Clock:
    """Wall times of named steps, in seconds."""

    def __init__(self, note: Note) -> None:
        self.steps: dict[str, float] = {}
        self._note = note

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step and say that it runs."""
        self._note(name)
        started = time.monotonic()
        yield
        self.steps[name] = round(self.steps.get(name, 0.0) + time.monotonic() - started, 2)


@cache
def code_digest() -> str:
    """SHA-256 of the source files that results depend on, hex, shortened.

    Taken once per process, which asks when it starts: files that change later are not those it imported.
    """
    digest, root = hashlib.sha256(), Path(afml.__file__).parents[1]
    for path in sources(root):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def sources(root: Path) -> list[Path]:
    """The source files that results depend on, below the folder of our packages."""
    files = [path for package in _CODE for path in sorted((root / "afml" / package).rglob("*.py"))]
    files = [path for path in files if path.parent.name != "study" or path.name in _OWN_CODE]
    return [path for path in files if path.name not in _REPORTING] + [root / "crypto" / "public" / n for n in _CODEC]


def phenotypes(settings: RunSettings, data: StudyData) -> tuple[tuple[NDArray[np.int8], ...], NDArray[np.int64]]:
    """Simulate the phenotypes of a run over all private people.

    Returns:
        (int8 [people] per phenotype, the causal sites of all of them).
    """
    people = np.concatenate(data.files)
    made = [
        simulate_phenotype(
            people,
            causal=settings.causal,
            heritability=settings.heritability,
            seed=settings.phenotype_seed + SECOND_PHENOTYPE * index,
        )
        for index in range(settings.phenotypes)
    ]
    return tuple(values for values, _ in made), np.unique(np.concatenate([causal for _, causal in made]))


def enrolled_of(data: StudyData, values: tuple[NDArray[np.int8], ...]) -> dict[int, Enrolled]:
    """Node number -> its enrolled people, with one phenotype [people] or several [people, phenotypes]."""
    joined = values[0] if len(values) == 1 else np.stack(values, axis=1)
    return {
        node: Enrolled(file[rows], phenotype[rows])
        for node, (file, rows, phenotype) in enumerate(
            zip(data.files, data.enrolled, data.by_file(joined), strict=True), start=1
        )
    }


@dataclass(frozen=True, eq=False)
class FederatedRun:
    """A run that went through the federation.

    Attributes:
        digests: Of every node's model.
        released: Records of every file, in store order, int8 [people, sites].
        seconds: Wall time, from provisioning to the last released file.
        bytes_up: What a node sends up in its largest round.
    """

    digests: tuple[str, ...]
    released: tuple[Int8, ...]
    seconds: float
    bytes_up: int


Federate = Callable[[RunSettings, StudyData, RunConfig], FederatedRun]


def run_one(
    settings: RunSettings,
    data: StudyData,
    *,
    private_game: RunSettings | None = None,
    federate: Federate | None = None,
    note: Note = lambda _: None,
) -> RunRecord:
    """Make one run.

    Args:
        settings: What to run.
        data: Its people.
        private_game: The same run with its whole game on private data, for the all-private baseline.
        federate: Trains and releases through the federation; the in-process run is then compared with it.
        note: Told what is running.
    """
    clock = Clock(note)
    started, busy = time.monotonic(), time.process_time()
    config = settings.run_config(data)
    agreed = masking_settings(config)
    values, causal = phenotypes(settings, data)
    enrolled = enrolled_of(data, values)
    with clock.step("training"):
        model = train_masking(config, data.panel, data.panel_dosage, enrolled)
    with clock.step("release"):
        chosen = plan_release(model, data.panel_dosage, agreed.release, people_per_file=min(config.enrolled.values()))
        released = [apply_plan(chosen, file) for file in data.files]
        alone = np.concatenate([mask_alone(chosen, file) for file in data.files])
    told = decoder_of(chosen, data.panel_dosage)
    with clock.step("other releases"):
        others = rivals(Trained(settings, data, enrolled, causal, model, chosen), private_game)
    declared = values[0] if len(values) == 1 else np.stack(values, axis=1)  # [people] or [people, phenotypes]
    inputs = EvaluationInputs(
        institutions=tuple(
            Institution(file, phenotype, rows, one.dosage)
            for file, phenotype, rows, one in zip(
                data.files, data.by_file(declared), data.enrolled, released, strict=True
            )
        ),
        panel=data.known,
        mask=lambda dosage: mask_alone(chosen, dosage),
        risk_weights=model.weights / model.scale,
        others=tuple(OtherRelease(other.name, other.mask, other.released) for other in others),
        fill=chosen.fill,
        told=told,
        genotype_error=agreed.game.genotype_error,
        seed=EVALUATION_SEED,
        population=(1, *settings.population),
    )
    with clock.step("evaluation"):
        found = evaluate(inputs, note)
    training = np.concatenate(data.enrolled)
    comparands = comparands_of(
        inputs,
        tuple((Outcome(one, training), own.raw_auc) for one, own in zip(values, found.details.phenotypes, strict=True)),
    )
    with clock.step("operating points"):
        points = operating_points(comparands, model, config, data)
    with clock.step("candidates"):
        candidates = by_candidates(comparands, inputs, found.details.population)
    audited = None
    if settings.audited:
        with clock.step("audit"):
            checked = audit_run(Subject(config, data.panel, data.panel_dosage, enrolled), EVALUATION_SEED)
            audited = round(checked.mu_lower, 4)
    with clock.step("accounting"):
        delta = config.budget.delta
        spent = ple([round_event(config, phase, phase.rounds) for phase in config.phases], delta)
        planned = ple(planned_events(config), delta).sigma
        broken = epsilon([broken_event(config, phase, phase.rounds) for phase in config.phases], delta).value
    seconds, cpu_seconds = round(time.monotonic() - started, 2), round(time.process_time() - busy, 2)
    federated = None
    if federate is not None:
        note("the same run through the federation")
        far = federate(settings, data, config)
        federated = Federated(
            same_model=set(far.digests) == {model.digest()},
            same_release=all(np.array_equal(a, b.dosage) for a, b in zip(far.released, released, strict=True)),
            seconds=round(far.seconds, 2),
            bytes_up_per_round=far.bytes_up,
        )
    release = found.release.model_copy(update={"method": chosen.method})
    return RunRecord(
        name=settings.name,
        settings_digest=settings.digest().hex(),
        private_game_digest=private_digest(private_game),
        code_digest=code_digest(),
        rr=release.rr,
        rr_reduction=found.rr_reduction_vs_random,
        rr_known_institution=release.rr_known_institution,
        utility_ratio=release.utility_ratio,
        utility_ratio_chance_corrected=release.utility_ratio_chance_corrected,
        utility_ratio_vs_best_raw=release.utility_ratio_vs_best_raw or 0.0,  # always there: the study has phenotypes
        ple_sigma=spent.sigma,
        ple_planned=planned,
        epsilon=spent.epsilon,
        epsilon_if_aggregation_broken=broken,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        group_bound=max(one.patterns_used / len(one.dosage) for one in released),
        ungrouped_ratio=comparands.worth(comparands.aucs(alone if told is None else told(alone))) / comparands.raw_auc,
        audited_ple_lower=audited,
        model_digest=model.digest(),
        reason=chosen.reason,
        settings=settings,
        release=release,
        phenotypes=tuple(map(_utility, found.details.phenotypes)),
        baselines=found.baselines,
        frontier=found.frontier,
        operating_points=points,
        candidates=candidates,
        details=found.details,
        federated=federated,
        steps=clock.steps,
    )


def _utility(found: PhenotypeDetails) -> PhenotypeUtility:
    return PhenotypeUtility(
        utility_ratio=found.utility_ratio,
        utility_ratio_chance_corrected=found.utility_ratio_chance_corrected,
        utility_ratio_vs_best_raw=found.auc / found.best_raw_auc,
    )
