"""One run of the study through the real federation: provision, prepare, configure, six processes, mask."""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from afml.cli.processes import Team
from afml.core.errors import ConfigError
from afml.core.run import RunConfig
from afml.evaluation.attacks.base import Int8
from afml.evaluation.study.data import StudyData
from afml.evaluation.study.settings import CONSORTIUM, RunSettings
from afml.evaluation.study.single import phenotypes
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.reader import VariantFile
from afml.training.model import TrainedModel
from node.release import read_aligned
from node.workspace import Workspace


def federate(
    settings: RunSettings, data: StudyData, config: RunConfig
) -> tuple[list[str], list[Int8], float, int]:
    """Train and release as institutions would, every party a process of its own, everything encrypted.

    Args:
        settings: Of the run: the product's default settings of risk model and release, and of the game but its steps.
        data: Real people, split into VCF files.
        config: The run configuration of the in-process run; `afml configure` must come to the same one.

    Returns:
        (model digest of every node, released records of every file in store order, wall seconds,
        bytes that a node sends up in its largest round).

    Raises:
        ConfigError: There are no VCF files, or the two configurations differ.
    """
    if data.folder is None:
        raise ConfigError("only a run on VCF files can be federated", where=settings.name)
    root = Path(tempfile.mkdtemp(prefix="federated-", dir=data.folder))
    try:
        started = time.monotonic()
        files, size = _federate(root, settings, data, data.folder, config)
        nodes = range(1, len(data.files) + 1)
        digests = [TrainedModel.load(Workspace(root / f"node-{n}").model(config.run)).digest() for n in nodes]
        return digests, files, time.monotonic() - started, size
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _federate(
    root: Path, settings: RunSettings, data: StudyData, folder: Path, config: RunConfig
) -> tuple[list[Int8], int]:
    nodes = range(1, len(data.files) + 1)
    kits, run = root / "kits", root / "run.json"
    samples = []
    for n in nodes:
        with VariantFile(folder / f"node-{n}.vcf.gz") as opened:
            samples += opened.samples
    names = [trait.name for trait in config.risk.declared]
    values = np.stack(phenotypes(settings, data)[0], axis=1)  # [people, phenotypes]
    write_phenotypes(root / "phenotypes.tsv", samples, values, names)
    risk = config.phases[0]
    game = config.phases[1].rounds if len(config.phases) > 1 else 0
    with Team(root / "logs") as team:
        team.run("provision", ["provision", "--out", kits, "--consortium", CONSORTIUM, "--nodes", len(nodes)])
        for n in nodes:
            team.run(f"prepare-{n}", [
                "prepare", "--kit", kits / f"node-{n}", "--work", root / f"node-{n}",
                "--vcf", folder / f"node-{n}.vcf.gz", "--panel-vcf", folder / "panel.vcf.gz",
                "--phenotypes", root / "phenotypes.tsv", "--sites", settings.data.sites,
                "--holdout", settings.data.holdout, "--seed", settings.data.holdout_seed,
            ])  # fmt: skip
        team.run("configure", [
            "configure", *[root / f"node-{n}" / "card.json" for n in nodes], "--kit", kits / "coordinator",
            "--out", run, "--run", config.run, "--ple", settings.ple, "--delta", settings.delta,
            "--rounds", risk.rounds, "--game-rounds", game, "--noise", config.noise,
            "--quorum", config.quorum, "--max-colluding", config.max_colluding,
            "--reserve-attempts", config.reserve_attempts,
            "--phenotypes", settings.phenotypes, "--patterns", config.release.patterns,
            "--game-steps", config.game.steps,
            "--min-group-size", config.release.min_group_size, "--seed", settings.training_seed,
        ])  # fmt: skip
        agreed = RunConfig.load(run)
        if agreed.digest() != config.digest():
            ours, theirs = config.model_dump(), agreed.model_dump()
            differing = [key for key in ours if ours[key] != theirs[key]]
            raise ConfigError(f"`afml configure` and the study differ in {', '.join(differing)}", where=config.run)
        address = f"127.0.0.1:{_free_port()}"
        server = team.start("aggregator", [
            "aggregator", "--kit", kits / "aggregator", "--run", run, "--data", root / "aggregator",
            "--listen", address,
        ])  # fmt: skip
        members = [
            team.start(f"node-{n}", [
                "node", "--kit", kits / f"node-{n}", "--work", root / f"node-{n}", "--run", run,
                "--aggregator", address,
            ])
            for n in nodes
        ]  # fmt: skip
        team.wait([server, *members])
        for n in nodes:
            kit, work = kits / f"node-{n}", root / f"node-{n}"
            team.run(f"mask-{n}", ["mask", "--kit", kit, "--work", work, "--run", run])
    uploads = json.loads((root / "aggregator" / "summary.json").read_text())["uploads"]
    largest = max(upload["parameters"] for upload in uploads)
    size = statistics.median(upload["bytes"] for upload in uploads if upload["parameters"] == largest)
    released = [np.asarray(read_aligned(Workspace(root / f"node-{n}"), config.run)) for n in nodes]
    return released, round(size)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
