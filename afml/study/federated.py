"""One run of the study through the real federation: every party a process of its own, everything encrypted."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.sources.vcf import VariantFile
from afml.masking.chosen import masking_settings
from afml.masking.model import TrainedModel
from afml.masking.settings import GAME, RISK
from afml.study.data import StudyData
from afml.study.settings import CONSORTIUM, RunSettings
from afml.study.single import FederatedRun, phenotypes
from afml.trial.parties import Options, Parties, Traffic
from afml.trial.processes import Team
from node.released import read_aligned


def federate(settings: RunSettings, data: StudyData, config: RunConfig) -> FederatedRun:
    """Train and release as institutions would.

    Args:
        settings: Of the run: the product's default settings of risk model and release, and of the game but its steps.
        data: Real people, split into VCF files.
        config: The run configuration of the in-process run; `afml configure` must come to the same one.

    Raises:
        ConfigError: There are no VCF files, or the two configurations differ.
    """
    if data.folder is None:
        raise ConfigError("only a run on VCF files can be federated", where=settings.name)
    root = Path(tempfile.mkdtemp(prefix="federated-", dir=data.folder))
    try:
        started = time.monotonic()
        consortium = _run(root, settings, data, config)
        spaces = [consortium.work(n) for n in consortium.nodes]
        released = tuple(np.asarray(read_aligned(space, config.run)) for space in spaces)
        digests = tuple(TrainedModel.load(space.model(config.run)).digest() for space in spaces)
        size = round(Traffic.load(consortium.aggregator).bytes_up)
        return FederatedRun(digests, released, time.monotonic() - started, size)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _run(root: Path, settings: RunSettings, data: StudyData, config: RunConfig) -> Parties:
    """From kits to released files below `root`."""
    assert data.folder is not None
    vcfs = [data.folder / f"node-{n}.vcf.gz" for n in range(1, len(data.files) + 1)]
    table = root / "phenotypes.tsv"
    _write_phenotypes(table, vcfs, settings, data)
    with Team(root / "logs") as team:
        # One process at a time where they need not meet: other runs of the study share the processors.
        consortium = Parties(team, root, len(vcfs), at_once=1)
        consortium.provision(CONSORTIUM)
        consortium.prepare([("--vcf", vcf) for vcf in vcfs], [
            "--panel-vcf", data.folder / "panel.vcf.gz", "--phenotypes", table, "--sites", settings.data.sites,
            "--holdout", settings.data.holdout, "--seed", settings.data.holdout_seed,
        ])  # fmt: skip
        agreed = consortium.configure(_options(settings, config))
        if agreed.digest() != config.digest():
            ours, theirs = config.model_dump(), agreed.model_dump()
            differing = [key for key in ours if ours[key] != theirs[key]]
            raise ConfigError(f"`afml configure` and the study differ in {', '.join(differing)}", where=config.run)
        consortium.train()
        consortium.mask()
    return consortium


def _options(settings: RunSettings, config: RunConfig) -> Options:
    """Options with which `afml configure` comes to this run."""
    agreed = masking_settings(config)
    rounds = {phase.name: phase.rounds for phase in config.phases}
    return (
        "--run", config.run, "--ple", settings.ple, "--delta", settings.delta,
        "--rounds", rounds[RISK], "--game-rounds", rounds.get(GAME, 0), "--noise", config.noise,
        "--quorum", config.quorum, "--max-colluding", config.max_colluding, "--key-agreement", config.key_agreement,
        "--reserve-attempts", config.reserve_attempts, "--phenotypes", settings.phenotypes,
        "--patterns", agreed.release.patterns, "--game-steps", agreed.game.steps,
        "--min-group-size", agreed.release.min_group_size, "--fill", agreed.release.fill,
        "--seed", settings.training_seed,
    )  # fmt: skip


def _write_phenotypes(out: Path, vcfs: list[Path], settings: RunSettings, data: StudyData) -> None:
    samples: list[str] = []
    for vcf in vcfs:
        with VariantFile(vcf) as opened:
            samples += opened.samples
    names = [trait.name for trait in masking_settings(settings.run_config(data)).risk.declared]
    write_phenotypes(out, samples, np.stack(phenotypes(settings, data)[0], axis=1), names)  # [people, phenotypes]
