"""Which runs the study asks for."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from afml.masking.settings import GameSettings
from afml.study.data import DataSettings
from afml.study.design import CAUSAL, PLES, SEEDS, Design, ablations, quick
from tests.study.conftest import phases


@pytest.fixture(scope="module")
def design() -> Design:
    return Design(DataSettings(kind="vcf", sites=1024), phases, lambda sites: sites or 10_000)


def test_the_full_grid_is_that_of_the_plan(design: Design) -> None:
    jobs = design.full()
    assert len(jobs) == 30
    found = {(j.settings.causal, j.settings.phenotype_seed, j.settings.ple) for j in jobs}
    assert found == {(c, s, p) for c in CAUSAL for s in SEEDS for p in PLES}
    assert len({j.settings.name for j in jobs}) == 30
    assert all(j.settings.noise == "distributed" and j.settings.sites_key == "1024" for j in jobs)
    federated = {(j.settings.causal, j.settings.ple) for j in jobs if j.settings.federated}
    assert federated == {(c, p) for c in CAUSAL for p in PLES}
    assert sum(j.settings.federated for j in design.full("one")) == 1
    assert not any(j.settings.federated for j in design.full("none"))
    for one in jobs:
        assert one.private_game is not None
        assert one.private_game.game.steps == 0
        assert one.settings.game == GameSettings()


def test_the_extended_grid_changes_one_thing_at_a_time(design: Design) -> None:
    jobs = design.extended()
    assert len({j.settings.name for j in jobs}) == len(jobs) == 15 + 10 + 18 + 3 * len(ablations())
    for job in jobs:
        one = job.settings
        if one.variant not in ("default", "codebook", "panel-frequencies"):
            assert one.release.method == "network"
        assert (one.data.panel == "frequencies") == (one.variant == "panel-frequencies")
    assert not {j.settings.name for j in jobs} & {j.settings.name for j in design.full()}


def test_every_run_has_a_name_that_a_run_may_have(design: Design) -> None:
    """Long ones are shortened, and still different; those of the plan's own seeds are as they were."""
    assert all(job.settings.name.endswith(f"seed{job.settings.phenotype_seed}") for job in design.extended())
    jobs = design.extended((1001, 1002), (1001, 1002))
    names = [job.settings.name for job in jobs]
    assert max(map(len, names)) == 64
    assert len(set(names)) == len(names)
    assert sum(not name.endswith(("seed1001", "seed1002")) for name in names) > 0


def test_names_of_the_extended_grid_need_neither_noise_nor_sites(design: Design) -> None:
    untouched = replace(design, planner=Mock(side_effect=AssertionError), site_counts=Mock(side_effect=AssertionError))
    assert untouched.extended_names() == {job.settings.name for job in design.extended()}
    assert untouched.extended_names((7,), (7,)) == {job.settings.name for job in design.extended((7,), (7,))}


def test_quick_runs_use_no_reported_seed() -> None:
    for real in (None, DataSettings(kind="vcf", sites=512)):
        jobs = quick(phases, real)
        assert len({j.settings.name for j in jobs}) == 2
        assert all(j.settings.phenotype_seed >= 1000 for j in jobs)
