"""One seed of an example through real processes: kits, encryption, ledgers, audit; and whether it ends alike."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from afml.training.model import ArrayModel
from afml.trial.parties import Parties, Traffic
from afml.trial.processes import Team
from benchmarks.examples.federated import HOLDOUT, NAME, Consortium

_OWN = {"--kit", "--work", "--out"}
"""Options of the README's commands whose places are other ones here."""


def same_bits(consortium: Consortium, data: Path, root: Path, seed: int) -> dict[str, Any]:
    """Run every party as a process and compare each node's model with the in-process reference.

    Args:
        consortium: Of the example.
        data: Where its make_data.py wrote.
        root: Folder for all parties; what it holds is removed.
        seed: Of the run and of who is held out.

    Raises:
        RuntimeError: A node ended with another model.
    """
    example = consortium.example
    shutil.rmtree(root, ignore_errors=True)
    with Team(root / "logs") as team:
        parties = Parties(team, root, len(consortium.nodes))
        parties.provision("examples")
        own = [_prepare(consortium, data, node) for node in parties.nodes]
        parties.prepare(own, ["--holdout", HOLDOUT, "--seed", seed])
        words = _without(example.command("configure")[2:], _OWN | {"--settings"})
        settings = ["--settings", example.root / "train.toml"]
        run = parties.configure([*words, *settings, "--run", NAME, "--seed", seed])
        parties.train()
        parties.verify()
    wanted = consortium.federated(seed).digest()
    found = {node: ArrayModel.load(parties.work(node).model(run.run)).digest() for node in parties.nodes}
    reference = consortium.run(seed)
    if set(found.values()) != {wanted} or (run.enrolled, run.bits) != (reference.enrolled, reference.bits):
        raise RuntimeError(f"the federation of {example.name} ends with other bits than the reference")
    traffic = Traffic.load(parties.aggregator)
    return {
        "seed": seed,
        "same_bits": True,
        "seconds_per_round": traffic.seconds_per_round,
        "bytes_up_per_parameter": traffic.bytes_up / traffic.parameters,
    }


def _prepare(consortium: Consortium, data: Path, node: int) -> list[object]:
    """Options of `afml prepare` at one institution: those of the README, with this institution's files."""
    kind, options = consortium.example.options(data, node)
    told: list[object] = ["--data", kind]
    for name, value in options.model_dump(exclude_none=True).items():
        told += ["--" + name.removesuffix("_file").replace("_", "-"), value]
    return told


def _without(words: list[str], names: set[str]) -> list[str]:
    """A command line without its cards and some options."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in names:
            skip = True
        elif not word.endswith("card.json"):
            kept.append(word)
    return kept
