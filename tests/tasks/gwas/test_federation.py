"""A scan through real processes, TLS, pads and CKKS: the bits of the in-process reference, files, a policy's no."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.tasks.gwas.files import CLUMPS, COLUMNS, METADATA, PAGE, TABLE
from afml.trial.processes import free_port
from tests.federation.parties import SITES, Consortium
from tests.processes import afml
from tests.tasks.refusals import refused_by_policy


def table(rng: np.random.Generator, people: int) -> tuple[NDArray[Any], Sequence[str]]:
    return np.stack([rng.normal(170, 10, people), rng.uniform(20, 80, people)], axis=1), ("height", "age")


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("a consortium"), table=table)
    (made.root / "settings.toml").write_text(
        'components = 3\n[trait]\nname = "height"\nkind = "quantitative"\ncentre = 170\nspread = 10\n'
        '[[covariates]]\nname = "age"\ncentre = 50\nspread = 17\n'
    )
    yield made
    made.stop()


def configure(consortium: Consortium, name: str) -> RunConfig:
    cards = [consortium.work(node) / "card.json" for node in range(1, consortium.nodes + 1)]
    done = afml(
        "configure", *cards, "--kit", consortium.kit("coordinator"), "--out", consortium.run_file(name), "--run", name,
        "--task", "gwas", "--settings", consortium.root / "settings.toml", "--ple", 1, "--seed", 5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return RunConfig.load(consortium.run_file(name))


def test_every_node_ends_with_the_reference_and_files_to_read(consortium: Consortium) -> None:
    run = configure(consortium, "scan")
    assert [phase.name for phase in run.phases] == ["cross", "scores", "follow"]
    port = free_port()
    server = consortium.start_aggregator(port, "scan")
    nodes = [consortium.start_node(n, port, "scan") for n in range(1, 4)]
    for number, process in enumerate(nodes, start=1):
        assert process.wait(240) == 0, consortium.log(f"node-{number}") + consortium.log("aggregator")
    assert server.wait(60) == 0, consortium.log("aggregator")
    assert {consortium.model_card(n, "scan")["digest"] for n in range(1, 4)} == {consortium.reference(run).digest()}
    tables = set()
    for n in range(1, 4):
        assert len(consortium.spends(n, "scan")) == 3
        folder = consortium.work(n) / "models" / "scan"
        assert {path.name for path in folder.iterdir()} >= {TABLE, METADATA, CLUMPS, PAGE, "model.npz", "model.json"}
        tables.add((folder / TABLE).read_text())
    _read(tables.pop(), sum(run.enrolled.values()))
    assert not tables


def _read(written: str, people: int) -> None:
    head, *lines = written.splitlines()
    assert tuple(head.split("\t")) == COLUMNS
    assert len(lines) == SITES
    found = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]
    assert {row["n"] for row in found} == {str(people)}
    assert sum(row["followed"] == "1" for row in found) == SITES // 10
    scores = np.array([float(row["beta"]) / float(row["standard_error"]) for row in found])
    assert np.abs(scores).max() < 5  # there is nothing to find
    assert 0.5 < scores.std() < 1.5


def test_a_site_whose_policy_does_not_name_the_task_refuses_in_one_line(consortium: Consortium) -> None:
    configure(consortium, "refused")
    line = refused_by_policy(consortium, "refused")
    assert "trains the task gwas, this site's policy allows masking" in line
