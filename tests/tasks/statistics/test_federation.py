"""Statistics through real processes, TLS, pads and CKKS: the bits of the in-process reference, files, a policy's no."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.trial.processes import free_port
from tests.federation.parties import SITES, Consortium
from tests.processes import afml
from tests.tasks.refusals import refused_by_policy


def table(rng: np.random.Generator, people: int) -> tuple[NDArray[Any], Sequence[str]]:
    return np.stack([rng.integers(0, 2, people), rng.uniform(20, 80, people)], axis=1), ("ill", "age")


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("a consortium"), table=table)
    (made.root / "settings.toml").write_text(
        'sites = ["alleles", "genotypes", "missing"]\n[[columns]]\nname = "age"\nlow = 20\nhigh = 80\nbins = 6\n'
        '[[columns]]\nname = "ill"\nkind = "binary"\n'
    )
    yield made
    made.stop()


def configure(consortium: Consortium, name: str, *options: object) -> RunConfig:
    cards = [consortium.work(node) / "card.json" for node in range(1, consortium.nodes + 1)]
    done = afml(
        "configure", *cards, "--kit", consortium.kit("coordinator"), "--out", consortium.run_file(name), "--run", name,
        "--task", "statistics", "--settings", consortium.root / "settings.toml", "--ple", 2, "--seed", 5, *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return RunConfig.load(consortium.run_file(name))


def test_every_node_ends_with_the_reference_and_files_to_read(consortium: Consortium) -> None:
    run = configure(consortium, "figures")
    port = free_port()
    server = consortium.start_aggregator(port, "figures")
    nodes = [consortium.start_node(n, port, "figures") for n in range(1, 4)]
    for number, process in enumerate(nodes, start=1):
        assert process.wait(240) == 0, consortium.log(f"node-{number}") + consortium.log("aggregator")
    assert server.wait(60) == 0, consortium.log("aggregator")
    assert {consortium.model_card(n, "figures")["digest"] for n in range(1, 4)} == {consortium.reference(run).digest()}
    for n in range(1, 4):
        folder = consortium.work(n) / "models" / "figures"
        assert {path.name for path in folder.iterdir()} >= {
            "columns.tsv", "sites.tsv", "statistics.json", "statistics.md", "model.npz", "model.json",
        }  # fmt: skip
        _read(folder, sum(run.enrolled.values()))


def _read(folder: Path, people: int) -> None:
    lines = (folder / "sites.tsv").read_text().splitlines()
    assert len(lines) == 1 + SITES
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    for row in rows:
        apart = float(row["frequency"]) - float(row["panel_frequency"])
        assert abs(apart) < 0.1 + 5 * float(row["frequency_noise_se"])
        assert 0 <= float(row["hwe_p"]) <= 1
    stored = json.loads((folder / "statistics.json").read_text())
    assert stored["people"] == people
    assert len(stored["sites"]) == len(stored["site_combined_frequency"]) == SITES
    mean = next(figure for figure in stored["columns"] if (figure["of"], figure["figure"]) == ("age", "mean"))
    assert abs(mean["value"] - 50) < 5 * mean["noise_se"] + 5
    page = (folder / "statistics.md").read_text()
    assert f"{people} people of 3 institutions" in page
    assert "may be below 0" in page


def test_a_site_whose_policy_does_not_name_the_task_refuses_in_one_line(consortium: Consortium) -> None:
    configure(consortium, "refused")
    line = refused_by_policy(consortium, "refused")
    assert "trains the task statistics, this site's policy allows masking" in line
