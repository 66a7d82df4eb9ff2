"""What a masked genotype had better show: re-identification and utility of one release under both fills.

One model, one set of patterns, the same people: only what stands for a masked genotype differs, `./.` (`missing`, the
default) or the panel's commoner allele twice (`major`). The quick runs of the study are trained, on simulated people
and, where the real exomes are (AFML_DATA_DIR or ../shared/data), on those; each is released under both fills and
attacked by the whole suite, a trained identifier included. Means over phenotype seeds.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from afml.evaluation.evaluate import evaluate
from afml.evaluation.inputs import EvaluationInputs, Institution
from afml.masking.chosen import masking_settings
from afml.masking.kind import train_masking
from afml.masking.settings import ReleaseSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan, mask_alone
from afml.study.data import StudyData, load
from afml.study.design import quick
from afml.study.reproduction import phases, quick_data
from afml.study.settings import RunSettings
from afml.study.single import enrolled_of, phenotypes

FILLS = ("missing", "major")
SEEDS = (1001, 1002, 1003)


def _both(settings: RunSettings, data: StudyData) -> dict[str, tuple[float, float]]:
    """(RR, utility ratio) by fill."""
    config = settings.run_config(data)
    values, _ = phenotypes(settings, data)
    model = train_masking(config, data.panel, data.panel_dosage, enrolled_of(data, values))
    found = {}
    for fill in FILLS:
        wanted = ReleaseSettings.model_validate(masking_settings(config).release.model_dump() | {"fill": fill})
        plan = plan_release(model, data.panel_dosage, wanted, people_per_file=min(config.enrolled.values()))
        files = zip(data.files, data.by_file(values[0]), data.enrolled, strict=True)
        inputs = EvaluationInputs(
            institutions=tuple(
                Institution(file, phenotype, rows, apply_plan(plan, file).dosage) for file, phenotype, rows in files
            ),
            panel=data.known,
            mask=lambda dosage, plan=plan: mask_alone(plan, dosage),
            risk_weights=model.weights / model.scale,
            fill=plan.fill,
            population=(1,),
        )
        release = evaluate(inputs).release
        found[fill] = (release.rr, release.utility_ratio)
    return found


def run() -> dict[str, object]:
    source = Path(os.environ.get("AFML_DATA_DIR", "../shared/data"))
    real = quick_data(source)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as cache:
        for job in quick(phases, real)[: 1 if real is None else 2]:
            data = load(job.settings.data, source=source if real is not None else None, cache=Path(cache))
            made = [_both(job.settings.model_copy(update={"phenotype_seed": seed}), data) for seed in SEEDS]
            name = "simulated" if job.settings.data.kind == "simulated" else "exomes"
            for fill in FILLS:
                rr, utility = np.mean([one[fill] for one in made], axis=0)
                figures[f"rr_{fill}_{name}"] = round(float(rr), 5)
                figures[f"utility_ratio_{fill}_{name}"] = round(float(utility), 3)
    return figures
