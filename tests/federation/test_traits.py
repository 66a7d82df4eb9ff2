"""Several traits and covariates: named columns of every institution's table, trained in the run's order."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.data.columns import Column
from afml.data.people import PeopleTable
from afml.evaluation.details import read_details
from afml.evaluation.report import read_json
from afml.masking.settings import RiskSettings, Trait
from afml.trial.processes import free_port
from node.workspace import Workspace, load_holdings
from tests.cli.zygote import Zygote
from tests.federation.parties import SITES, Consortium

COLUMNS = ("unused", "gout", "height", "asthma", "sex")
TWO = RiskSettings(traits=(Trait(name="asthma"), Trait(name="gout")))
HEIGHT = Trait(name="height", kind="quantitative", centre=170, spread=8)
MIXED = RiskSettings(traits=(HEIGHT, Trait(name="gout")), covariates=(Column(name="sex", centre=0.5, spread=0.5),))

COMPONENTS = RiskSettings(kept_components=2)


def table(rng: np.random.Generator, people: int) -> tuple[NDArray[Any], Sequence[str]]:
    gout, asthma, sex = rng.integers(0, 2, (3, people))
    unused = np.full(people, np.nan)
    return np.stack([unused, gout, rng.normal(170, 8, people), asthma, sex], axis=1), COLUMNS


def _enrolled(consortium: Consortium, work: Workspace, risk: RiskSettings) -> Any:
    """The people of a work folder as a run with these traits sees them."""
    return load_holdings(work, consortium.configure("read", risk=risk)).enrolled


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("several traits"), table=table)
    yield made
    made.stop()


@pytest.mark.parametrize(("name", "risk"), [("two", TWO), ("mixed", MIXED), ("none", COMPONENTS)])
def test_the_federation_equals_the_in_process_reference_bit_for_bit(
    consortium: Consortium, name: str, risk: RiskSettings
) -> None:
    config = consortium.configure(name, risk=risk)
    if risk.declared:
        assert config.phases[0].parameters == 2 * (SITES + 1 + len(risk.covariates))
    port = free_port()
    server = consortium.start_aggregator(port, name)
    nodes = [consortium.start_node(n, port, name) for n in range(1, 4)]
    for number, process in enumerate(nodes, start=1):
        assert process.wait(240) == 0, consortium.log(f"node-{number}") + consortium.log("aggregator")
    assert server.wait(60) == 0, consortium.log("aggregator")
    reference = consortium.reference(config)
    assert reference.weights.shape == (2, SITES)
    assert {consortium.model_card(n, name)["digest"] for n in range(1, 4)} == {reference.digest()}


def test_one_release_serves_both_and_the_report_tells_of_each(consortium: Consortium, afml: Zygote) -> None:
    """After the mixed run above."""
    run = consortium.run_file("mixed")
    done = afml("mask", "--kit", consortium.kit(1), "--work", consortium.work(1), "--run", run, "--frontier")
    assert done.code == 0, done.err
    assert re.search(r"^ +5 +\d+\.\d % +\d+\.?\d* % / +\d+\.?\d* % +codebook$", done.out, re.MULTILINE), done.out
    assert not Workspace(consortium.work(1)).release("mixed").exists()
    for node in (1, 2, 3):
        done = afml("mask", "--kit", consortium.kit(node), "--work", consortium.work(node), "--run", run, "--force")
        assert done.code == 0, done.err
    with gzip.open(Workspace(consortium.work(1)).release("mixed") / "release.vcf.gz", "rt") as released:
        assert "##afml_use=made for height, gout; not for" in released.read(4000)
    table = [line.split("\t") for line in (Workspace(consortium.work(1)).release("mixed") / "codebook.tsv").open()]
    assert table[0] == ["pattern", "shows", "score_height", "sd_height", "score_gout", "sd_gout\n"]
    assert table[1][:2] == ["0", ""]
    assert all(re.fullmatch(r"\w+:\d+:[ACGT]:[ACGT]=(0/1|1/1|0/0)", row[1]) for row in table[2:])
    about = consortium.root / "about.json"
    about.write_text(json.dumps({"simulated": True, "causal_sites": 0, "heritability": 0.0, "seed": 5}))
    out = consortium.root / "evaluated"
    works = [option for node in (1, 2, 3) for option in ("--work", consortium.work(node))]
    done = afml("evaluate", "--run", run, "--out", out, "--phenotype", about,
                "--aggregator", consortium.data("mixed"), *works)  # fmt: skip
    assert done.code == 0, done.err
    details = read_details(out / "details.json")
    assert [one.name for one in details.phenotypes] == ["gout"]
    assert [one.name for one in details.traits] == ["height"]
    release = read_json(out / "report.json").release
    assert release.utility_measure == "auc"  # of gout, the only binary trait
    assert release.utility_auc == details.phenotypes[0].auc
    page = (out / "report.html").read_text()
    assert "gout, AUC" in page
    assert "height, R" in page


def test_the_run_chooses_columns_by_name_and_in_its_order(consortium: Consortium) -> None:
    work = Workspace(consortium.work(2))
    people = PeopleTable.load(work.people)
    assert people.columns.names == COLUMNS
    value = {name: people.columns.values[people.enrolled, index] for index, name in enumerate(COLUMNS)}
    two = _enrolled(consortium, work, TWO)
    assert two.phenotype.dtype == np.int8
    np.testing.assert_array_equal(two.phenotype, np.stack([value["asthma"], value["gout"]], axis=1))
    mixed = _enrolled(consortium, work, MIXED)
    np.testing.assert_allclose(mixed.phenotype[:, 0], np.clip((value["height"] - 170) / 8, -4, 4) / 2)
    np.testing.assert_array_equal(mixed.phenotype[:, 1], value["gout"])
    np.testing.assert_array_equal(mixed.extras[:, 0], 2 * value["sex"] - 1)
    np.testing.assert_array_equal(mixed.dosage, two.dosage)


@pytest.mark.parametrize(
    ("risk", "message"),
    [
        (RiskSettings(), r"people\.tsv: has no column 'phenotype', which the run declares; add it to the phenotype"),
        (RiskSettings(traits=(Trait(name="T2D"),)), "has no column 'T2D', which the run declares"),
        (RiskSettings(traits=(Trait(name="unused"),)), r"column 'unused' holds no number for \d+ of \d+ people"),
        (RiskSettings(traits=(Trait(name="height"),)), r"column 'height' is neither 0 nor 1 for \d+ of \d+ people"),
        (MIXED.model_copy(update={"covariates": (Column(name="age"),)}), "has no column 'age'"),
    ],
)
def test_a_node_that_cannot_train_what_is_declared_says_so(
    consortium: Consortium, risk: RiskSettings, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _enrolled(consortium, Workspace(consortium.work(1)), risk)
    assert "\n" not in str(caught.value)


def test_the_node_refuses_in_one_line(consortium: Consortium, afml: Zygote) -> None:
    config: RunConfig = consortium.configure("absent", risk=RiskSettings(traits=(Trait(name="T2D"),)))
    line = afml(
        "node", "--kit", consortium.kit(1), "--work", consortium.work(1), "--run", consortium.run_file(config.run),
        "--aggregator", "127.0.0.1:1", "--wait", 0, "--simulation",
    ).complaint()  # fmt: skip
    assert "has no column 'T2D', which the run declares; add it to the phenotype table and run `afml prepare`" in line
