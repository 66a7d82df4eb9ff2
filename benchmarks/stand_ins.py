"""Public stand-ins in place of other people as candidates: does the rate that institutions may add up say what RR is?

A model is trained in one process (PLE 0.9, no game) and released at five institutions. The same attacks choose each
record's person among real people, as a report has it, and among public stand-ins, as `--task release-evaluation` has
it; nothing is noised here. With as many stand-ins as an institution has people (`*_known`), and as all have (`*_all`).
`members_*` is membership AUC of the worst score, out of one pooled file and as the mean over institutions' own.

Environment: DATA (folder of the real exomes; without it people are simulated), SITES (1024), SEEDS (3).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks import ATTACKS, Knowledge
from afml.evaluation.attacks.base import Case
from afml.evaluation.rr import attack_all
from afml.masking.kind import train_masking
from afml.masking.settings import GameSettings
from afml.release.evaluation.alone import Among, outranked
from afml.release.evaluation.settings import LINKED_ALONE
from afml.release.planning import plan_release
from afml.release.released import Released, apply_plan, mask_alone
from afml.study.data import DataSettings, StudyData, exomes, file_digest, load
from afml.study.reproduction import phases
from afml.study.settings import RunSettings
from afml.study.single import enrolled_of, phenotypes

CACHE = Path("build/stand-ins")
PEOPLE, PANEL = 2000, 500


def run() -> dict[str, float]:
    """Mean of each figure over the seeds, and the largest distance of a pair."""
    source = Path(os.environ["DATA"]) if os.environ.get("DATA") else None
    sites = int(os.environ.get("SITES", "1024"))
    if source is None:
        settings = DataSettings(kind="simulated", sites=sites, people=PEOPLE, panel_people=PANEL)
    else:
        settings = DataSettings(kind="vcf", source=file_digest(exomes(source)[0]), sites=sites)
    data = load(settings, source=source, cache=CACHE, note=print)
    rows = [_measured(settings, data, seed) for seed in range(1, int(os.environ.get("SEEDS", "3")) + 1)]
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    for name in ("all", "known"):
        apart = [abs(row[f"stand_ins_{name}"] - row[f"rr_{name}"]) for row in rows]
        found[f"apart_{name}"] = float(max(apart))
    return {name: round(value, 5) for name, value in found.items()}


def _measured(data_settings: DataSettings, data: StudyData, seed: int) -> dict[str, float]:
    game = GameSettings(steps=0)
    settings = RunSettings(
        data=data_settings, causal=20, phenotype_seed=seed, ple=0.9, game=game,
        phases=phases(0.9, len(data.panel), 0.0, 0, 1, game),
    )  # fmt: skip
    config = settings.run_config(data)
    model = train_masking(config, data.panel, data.panel_dosage, enrolled_of(data, phenotypes(settings, data)[0]))
    plan = plan_release(model, data.panel_dosage, settings.release, people_per_file=min(config.enrolled.values()))
    files = [apply_plan(plan, file) for file in data.files]
    error = settings.game.genotype_error
    known = Knowledge(data.panel_dosage, lambda dosage: mask_alone(plan, dosage), plan.fill, error, error)
    patterns, stem = plan.codebook.shown(plan.masked), f"stand-ins {seed}"
    everybody = sum(map(len, data.files))
    profiles = list(_profiles(Among(known, patterns, 2, stem), data))
    pooled = Case(np.concatenate([one.dosage for one in files]), np.concatenate(profiles), np.arange(everybody), known)
    attacks = [ATTACKS.get(name).seeded(0) for name in LINKED_ALONE]
    institution = np.repeat(np.arange(len(files)), [len(file) for file in data.files])
    real = attack_all(pooled, attacks, institution)
    members = [outranked(one.dosage, own, known) for one, own in zip(files, profiles, strict=True)]
    found = {
        "rr_all": real.rr,
        "rr_known": float(real.known_institution or 0.0),
        "members_pooled": float(outranked(pooled.released, pooled.references, known).mean(axis=0).max()),
        "members_own": float(np.concatenate(members).mean(axis=0).max()),
    }
    rate = partial(_rate, known, patterns, stem, files, profiles)
    return found | {"stand_ins_all": rate(everybody), "stand_ins_known": rate(everybody // len(files))}


def _profiles(among: Among, data: StudyData) -> Iterator[NDArray[np.int8]]:
    start = 0
    for file in data.files:
        yield among.profiles(file, np.arange(start, start + len(file)))
        start += len(file)


def _rate(
    known: Knowledge, patterns: NDArray[np.int8], stem: str, files: list[Released], profiles: list[NDArray[np.int8]],
    candidates: int,
) -> float:  # fmt: skip
    """The worst attack's, as the sum over institutions has it."""
    among = Among(known, patterns, candidates, stem)
    shown, everybody = np.concatenate([one.patterns for one in files]), np.concatenate(profiles)
    return float(among.success(LINKED_ALONE, shown, everybody).mean(axis=0).max())
