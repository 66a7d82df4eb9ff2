"""Two gloo processes that share a batch send the sum of one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from afml.training.program import Program
from crypto.public.random import source
from tests.training.simulated import cohorts, config, dosages, sites_panel

SITES, PEOPLE, PROCESSES = 16, 21, 2


def _program() -> Program:
    return Program(config(SITES, PEOPLE), sites_panel(SITES), dosages(40, SITES, seed=0))  # type: ignore[arg-type]


def _one_of(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    try:
        program, cohort = _program(), cohorts(SITES, PEOPLE)[1]
        program.load_public(Path(folder, "public").read_bytes())
        seed = source(5, "round")
        sums = [program.clipped_sum(phase, cohort, np.arange(PEOPLE), seed) for phase in (0, 1)]
        # Each process has randomness of its own; batch and noise must be the first one's.
        noised = program.private_update(0, cohort, source(6, rank), 1.0)
        np.savez(Path(folder, f"{rank}.npz"), risk=sums[0], game=sums[1], noised=noised)
    finally:
        dist.destroy_process_group()


def test_two_processes_send_the_sum_of_one(tmp_path: Path) -> None:
    program, cohort = _program(), cohorts(SITES, PEOPLE)[1]
    blob = program.train_public()
    (tmp_path / "public").write_bytes(blob)
    program.load_public(blob)
    mp.spawn(_one_of, args=(str(tmp_path),), nprocs=PROCESSES)
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in range(PROCESSES))
    for phase, name in enumerate(("risk", "game")):
        alone = program.clipped_sum(phase, cohort, np.arange(PEOPLE), source(5, "round"))
        np.testing.assert_allclose(first[name], alone, rtol=1e-4, atol=1e-5)
        assert np.array_equal(first[name], second[name])
    expected = program.private_update(0, cohort, source(6, 0), 1.0)
    np.testing.assert_allclose(first["noised"], expected, rtol=1e-4, atol=1e-5)
    assert np.array_equal(first["noised"], second["noised"])
