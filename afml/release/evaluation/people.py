"""The held-out people of an institution, each with what the institution finds of the person in its own release."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.draws import draws_of
from afml.core.errors import ConfigError, InputError
from afml.data.columns import Trait
from afml.data.prepared import Prepared
from afml.evaluation.attacks import Knowledge
from afml.evaluation.attacks.base import Int8
from afml.genomics.files import GenotypeFiles
from afml.genomics.public import agreed_panel
from afml.genomics.store import GenotypeStore
from afml.masking.model import TrainedModel
from afml.masking.settings import GAME, RISK, GameSettings, RiskSettings
from afml.release.evaluation.alone import Among, outranked
from afml.release.evaluation.settings import ReleaseEvaluationSettings
from afml.release.evaluation.vector import MEMBERSHIP, RECOGNISED, SIDES, of_trait, side_of
from afml.release.plan import ReleasePlan
from afml.release.released import mask_alone
from afml.release.stored import Records, StoredRelease
from afml.release.table import expected
from afml.training.shelf import find_model


@dataclass(frozen=True, eq=False)
class EvaluatedPeople:
    """Held-out people of one institution; see `afml.training.task.Enrolled`.

    Attributes:
        values: Block -> what each of them adds, float64 [people, *shape].
    """

    values: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __repr__(self) -> str:
        return f"EvaluatedPeople({len(self)} people)"

    def of(self, people: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """The values of some of them."""
        return {name: values[people] for name, values in self.values.items()}

    def digest(self) -> str:
        """See `Enrolled.digest`."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name, values in self.values.items():
            digest.update(f"{name}\0{values.shape}".encode() + values.astype("<f8").tobytes())
        return digest.hexdigest()


def evaluated(run: RunConfig, settings: ReleaseEvaluationSettings, prepared: Prepared) -> EvaluatedPeople:
    """Attack the own release for each held-out person, and look up what it says of their traits.

    Args:
        run: The evaluation's.
        settings: Its settings.
        prepared: The institution's data; the turn is that of the people kept out.

    Raises:
        ConfigError: The model or its release is not here, or its traits are others.
        InputError: The release is not what its plan says, a held-out person is not in it, or the panel has fewer than
            four people.
    """
    model = _model(settings.model, prepared)
    _, panel = agreed_panel(prepared.public, run.data)
    stored = StoredRelease.of(prepared, Path(model.card["run"]).name)
    plan, records, rows = stored.plan(model), stored.records(), prepared.enrolled
    numbers = _numbers(stored, records, rows)
    shown = plan.pattern_of(records.released[numbers])
    if (shown < 0).any():
        raise InputError("shows records that its plan does not know", where=stored.folder, cure="run `afml mask` again")
    error = GameSettings(**model.card[GAME]).genotype_error
    knowledge = Knowledge(panel, lambda dosage: mask_alone(plan, dosage), plan.fill, error, error)
    dosage = GenotypeStore.open(GenotypeFiles(prepared.folder).cohort_store).dosage(rows)
    among = Among(knowledge, plan.codebook.shown(plan.masked), settings.candidates, draws_of(run.run, run.seed))
    profiles = among.profiles(dosage, numbers)
    hits = among.success(settings.attacks, shown, profiles)
    values = {RECOGNISED: hits, MEMBERSHIP: outranked(records.released, profiles, knowledge)}
    if settings.traits:
        values |= _traits(settings, model, prepared, _Scores(plan, panel, dosage, shown))
    return EvaluatedPeople(values)


def _numbers(stored: StoredRelease, records: Records, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The records of the people who take part. Others may have come, gone or been left out: the file is as it was.

    Raises:
        InputError: Somebody has none.
    """
    numbers = records.numbers(rows)
    if none := int((numbers < 0).sum()):
        raise InputError(
            f"has no record of {none} of the {len(rows)} held-out people",
            where=stored.folder,
            cure=f"leave who is not in {stored.columns} out by `afml prepare --without`; configure a run anew",
        )
    return numbers


def _model(digest: str, prepared: Prepared) -> TrainedModel:
    found = find_model(digest, prepared.models)
    try:
        return TrainedModel(**found.arrays, card=dict(found.card))
    except TypeError:
        raise ConfigError("is not a model of the masking task", where="model", cure="give one") from None


def _traits(
    settings: ReleaseEvaluationSettings, model: TrainedModel, prepared: Prepared, scores: _Scores
) -> dict[str, NDArray[np.float64]]:
    # Their scores come first, then those of classes of attributes, which are no columns of traits, and of components.
    declared = RiskSettings(**model.card[RISK]).diseases
    values = {}
    for trait in settings.traits:
        if trait not in declared:
            names = ", ".join(one.name for one in declared) or "none"
            raise ConfigError(
                f"{trait.name!r} is no trait of the model as it was trained; it has {names}",
                where="traits",
                cure="declare traits in --settings as the model's run does",
            )
        at = declared.index(trait)
        truth = _truth(trait, prepared)
        for side, said in zip(SIDES, (scores.released[:, at], scores.raw[:, at]), strict=True):
            values[side_of(trait, side)] = of_trait(trait, truth, said, settings)
    return values


def _truth(trait: Trait, prepared: Prepared) -> NDArray[np.float64]:
    column = prepared.people.columns.column(trait.name, where=prepared.table)[prepared.enrolled]
    trait.require_coded(column, where=prepared.table)
    return np.asarray(column, np.float64)


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of people by what their records show and by what they are, in standard deviations of public people's."""

    plan: ReleasePlan
    panel: Int8
    dosage: Int8
    shown: NDArray[np.int64]

    @cached_property
    def released(self) -> NDArray[np.float64]:
        """By the codebook table, which every recipient has: [people, scores]."""
        mean, _ = expected(self.plan, self.panel)
        taken = self.plan.codebook.assign(self.plan.contained(self.panel), self.plan.points(self.panel))
        return _standard(mean[self.shown], mean[taken])

    @cached_property
    def raw(self) -> NDArray[np.float64]:
        """By the model, of the genotypes themselves: [people, scores]."""
        of_panel = self.plan.model.risk_score(self.panel).reshape(len(self.panel), -1)
        return _standard(self.plan.model.risk_score(self.dosage).reshape(len(self.dosage), -1), of_panel)


def _standard(scores: NDArray[np.float64], public: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = public.std(axis=0)
    return np.asarray((scores - public.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0))
