"""One tiny run on simulated people, made once for all tests of the study."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import pytest

from afml.consortium.run import Phase
from afml.masking.plan import parameter_counts
from afml.masking.settings import GAME, RISK, GameSettings, MaskingSettings, ReleaseSettings, RiskSettings
from afml.study import points
from afml.study.data import DataSettings, StudyData, simulated
from afml.study.record import RunRecord, stored
from afml.study.runner import Job
from afml.study.settings import RunSettings
from afml.study.single import run_one

SITES = 48


def phases(
    ple: float, sites: int, share: float, rounds: int, phenotypes: int = 1, game: GameSettings | None = None
) -> tuple[Phase, ...]:
    """Two risk rounds and one game round with noise that keeps the promise; no accountant needed."""
    settings = MaskingSettings(risk=RiskSettings(phenotypes=phenotypes), game=game or GameSettings())
    risk, played = parameter_counts(sites, settings)
    common = {"clip_norm": 1.0, "noise_multiplier": 10.0 / ple}
    return (
        Phase(name=RISK, rounds=2, sample_rate=1.0, learning_rate=0.003, parameters=risk, **common),
        Phase(name=GAME, rounds=1, sample_rate=1.0, learning_rate=0.05, parameters=played, **common),
    )


@pytest.fixture(scope="session", autouse=True)
def few_operating_points() -> Iterator[None]:
    """Each costs a release plan; the study of the product has eleven."""
    few = (("codebook", 6, 10), ("codebook", 10, 20), ("codebook", 16, 10), ("network", 6, 10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "CONFIGURATIONS", few)
        yield


@pytest.fixture(scope="session")
def settings() -> RunSettings:
    data = DataSettings(kind="simulated", sites=SITES, people=240, panel_people=60, nodes=3)
    return RunSettings(
        data=data,
        causal=4,
        phenotype_seed=1001,
        ple=0.9,
        phases=phases(0.9, SITES, 0.1, 1),
        game=GameSettings(steps=3, batch=8, lineup=4, private_lineup=4),
        release=ReleaseSettings(min_group_size=10),
        population=(3,),
        audited=True,
    )


@pytest.fixture(scope="session")
def people(settings: RunSettings) -> StudyData:
    return simulated(settings.data)


@pytest.fixture(scope="session")
def job(settings: RunSettings) -> Job:
    return Job(settings, settings.model_copy(update={"game": settings.game.model_copy(update={"steps": 0})}))


@pytest.fixture(scope="session")
def record(job: Job, people: StudyData, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """The run, made by the first worker that asks and read by the others."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return run_one(job.settings, people, private_game=job.private_game)
    folder = tmp_path_factory.getbasetemp().parent / "study record"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stored(folder, job.settings, job.private_game) is None:
            run_one(job.settings, people, private_game=job.private_game).save(folder)
    found = stored(folder, job.settings, job.private_game)
    assert found is not None
    return found
