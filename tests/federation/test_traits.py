"""Several traits and covariates: named columns of every institution's table, trained in the run's order."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.data.attribute import Attribute
from afml.data.columns import Column
from afml.data.people import PeopleTable
from afml.evaluation.details import read_details
from afml.evaluation.report import read_json
from afml.masking.settings import RiskSettings, Trait
from afml.release.evaluation.kind import RELEASE_EVALUATION
from afml.release.evaluation.settings import ReleaseEvaluationSettings
from afml.training.inprocess import train_in_process
from afml.trial.processes import free_port
from node.released import read_aligned
from node.workspace import Workspace, load_holdings
from tests.cli.jsonpage import keys
from tests.cli.zygote import Zygote
from tests.federation.parties import SITES, Consortium

COLUMNS = ("unused", "gout", "height", "asthma", "sex")
TWO = RiskSettings(traits=(Trait(name="asthma"), Trait(name="gout")))
HEIGHT = Trait(name="height", kind="quantitative", centre=170, spread=8)
MIXED = RiskSettings(
    traits=(HEIGHT, Trait(name="gout")),
    covariates=(Column(name="sex", centre=0.5, spread=0.5),),
    attributes=(
        Attribute(name="asthma", classes=("no", "yes")),
        Attribute(name="ancestry", classes=("north", "south"), source="components"),
    ),
    kept_components=1,
)

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
    made = Consortium.build(tmp_path_factory.mktemp("several traits"), table=table, held_out=True)
    yield made
    made.stop()


@pytest.mark.parametrize(("name", "risk"), [("two", TWO), ("mixed", MIXED), ("none", COMPONENTS)])
def test_the_federation_equals_the_in_process_reference_bit_for_bit(
    consortium: Consortium, name: str, risk: RiskSettings
) -> None:
    config = consortium.configure(name, risk=risk)
    if risk.declared:
        assert config.phases[0].parameters == len(risk.declared) * (SITES + 1 + len(risk.covariates))
    port = free_port()
    server = consortium.start_aggregator(port, name)
    nodes = [consortium.start_node(n, port, name) for n in range(1, 4)]
    for number, process in enumerate(nodes, start=1):
        assert process.wait(240) == 0, consortium.log(f"node-{number}") + consortium.log("aggregator")
    assert server.wait(60) == 0, consortium.log("aggregator")
    reference = consortium.reference(config)
    assert reference.weights.shape == (risk.scores, SITES)
    assert {consortium.model_card(n, name)["digest"] for n in range(1, 4)} == {reference.digest()}


def test_one_release_serves_both_and_the_report_tells_of_each(consortium: Consortium, afml: Zygote) -> None:
    """After the mixed run above."""
    run = consortium.run_file("mixed")
    done = afml("mask", "--kit", consortium.kit(1), "--work", consortium.work(1), "--run", run, "--frontier")
    assert done.code == 0, done.err
    line = r"^ +\d +\d+\.\d % +\d+\.?\d* % / +\d+\.?\d* % +(codebook|static|levels)$"
    assert re.search(line, done.out, re.MULTILINE), done.out
    where = ("--kit", consortium.kit(1), "--work", consortium.work(1), "--run", run)
    points = json.loads(afml("mask", *where, "--frontier", "--json").out)
    told = [one for one in done.out.splitlines() if one.endswith(("codebook", "static", "levels"))]
    assert [set(one) for one in points] == [keys("mask --frontier")] * len(told)
    assert not Workspace(consortium.work(1)).release("mixed").exists()
    for node in (1, 2, 3):
        done = afml("mask", "--kit", consortium.kit(node), "--work", consortium.work(node), "--run", run, "--force")
        assert done.code == 0, done.err
    with gzip.open(Workspace(consortium.work(1)).release("mixed") / "release.vcf.gz", "rt") as released:
        use = "##afml_use=made for height, gout, asthma, ancestry; panel principal components kept: 1; beyond these not"
        assert use in released.read(4000)
    table = [line.split("\t") for line in (Workspace(consortium.work(1)).release("mixed") / "codebook.tsv").open()]
    names = ("height", "gout", "asthma yes", "component1")
    assert "\t".join(table[0]) == "\t".join(("pattern", "shows", *(f"score_{n}\tsd_{n}" for n in names))) + "\n"
    assert table[1][:2] == ["0", ""]
    assert all(re.fullmatch(r"\w+:\d+:[ACGT]:[ACGT]=(0/1|1/1|0/0)", row[1]) for row in table[2:])
    about = consortium.root / "about.json"
    about.write_text(json.dumps({"simulated": True, "causal_sites": 0, "heritability": 0.0, "seed": 5}))
    out = consortium.root / "evaluated"
    works = [option for node in (1, 2, 3) for option in ("--work", consortium.work(node))]
    done = afml("evaluate", "--run", run, "--out", out, "--phenotype", about, "--attribute", "sex",
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
    told = read_json(out / "report.json").attributes  # no table says who is of which ancestry
    assert [(one.name, one.allowed, one.classes) for one in told] == [
        ("asthma", True, ("no", "yes")),
        ("sex", False, ("0", "1")),
    ]
    assert "it may tell asthma" in page
    assert "undeclared: sex" in done.out
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


def test_an_institution_evaluates_its_own_file_with_nobody_elses_folder(
    consortium: Consortium, afml: Zygote, tmp_path: Path
) -> None:
    """After the releases above, on a copy that has nothing beside it."""
    work, run, out = tmp_path / "work", tmp_path / "run.json", tmp_path / "own"
    shutil.copytree(consortium.work(2), work)
    shutil.copy(consortium.run_file("mixed"), run)
    own = ("evaluate", "--own", work, "--run", run, "--out", out)
    done = afml(*own)
    assert done.code == 0, done.err
    assert "one institution's own file" in done.out
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    report, details = read_json(out / "report.json"), read_details(out / "details.json")
    shown = [row.tobytes() for row in read_aligned(Workspace(work), "mixed")]
    groups = [shown.count(row) for row in set(shown)]
    assert (report.scope, report.data.nodes, report.federation) == ("own", 1, None)
    assert (report.release.candidates, report.release.patterns) == (consortium.people, len(groups))
    assert report.release.min_group_size == min(groups)
    assert report.release.rr == report.release.rr_known_institution <= len(groups) / consortium.people
    assert report.privacy.audited_ple_lower is None
    assert [one.name for one in details.phenotypes] + [one.name for one in details.traits] == ["gout", "height"]
    assert details.membership.members == consortium.people
    page = (out / "report.html").read_text()
    assert "exact about this institution's own people, stays there" in page
    assert not re.search(r"N2-\d", page + (out / "report.json").read_text() + (out / "details.json").read_text())
    out.chmod(0o755)
    assert "chmod 700" in afml(*own).complaint()
    assert "leave out --work and --aggregator" in afml(*own, "--work", consortium.work(1)).complaint()
    shutil.rmtree(Workspace(work).release("mixed"))
    out.chmod(0o700)
    assert "run `afml mask` first" in afml(*own).complaint()


@pytest.fixture(scope="module")
def scored(consortium: Consortium, afml: Zygote) -> RunConfig:
    """After the releases above: all institutions add up, with noise, what each finds of its own."""
    settings = {"model": consortium.model_card(1, "mixed")["digest"], "candidates": 100, "bins": 4}
    traits = [trait.model_dump(mode="json") for trait in MIXED.traits]
    (consortium.root / "settings.json").write_text(json.dumps(settings | {"traits": traits}))
    cards = [consortium.work(node) / "card.json" for node in (1, 2, 3)]
    done = afml(
        "configure", *cards, "--kit", consortium.kit("coordinator"), "--out", consortium.run_file("scored"),
        "--run", "scored", "--task", "release-evaluation", "--settings", consortium.root / "settings.json",
        "--ple", 2, "--seed", 5,
    )  # fmt: skip
    assert done.code == 0, done.err
    port = free_port()
    server = consortium.start_aggregator(port, "scored")
    nodes = [consortium.start_node(n, port, "scored") for n in range(1, 4)]
    for number, process in enumerate(nodes, start=1):
        assert process.wait(240) == 0, consortium.log(f"node-{number}") + consortium.log("aggregator")
    assert server.wait(60) == 0, consortium.log("aggregator")
    return RunConfig.load(consortium.run_file("scored"))


def test_all_institutions_evaluate_their_releases_together_with_noise_and_pay_for_it(
    consortium: Consortium, scored: RunConfig, afml: Zygote
) -> None:
    run, works = scored, {node: Workspace(consortium.work(node)) for node in (1, 2, 3)}
    held = {node: work.prepared("holdout") for node, work in works.items()}
    assert run.people == "holdout"
    assert run.enrolled == {node: len(one.enrolled) for node, one in held.items()}
    task = RELEASE_EVALUATION.task(run, held[1].public)
    enrolled = {node: RELEASE_EVALUATION.enrolled(run, one) for node, one in held.items()}
    train_in_process(run, task, enrolled)
    assert {consortium.model_card(node, "scored")["digest"] for node in works} == {task.model().digest()}
    for name, estimate in task.estimates(0).items():
        exact = sum(one.values[name].sum(axis=0) for one in enrolled.values())
        assert 0 < np.abs(estimate.sum - exact).max() <= 6 * estimate.std.max()
    gout = enrolled[2].values["gout, raw"].sum(axis=(0, 2))
    truth = held[2].people.columns.column("gout", where="")[held[2].enrolled]
    np.testing.assert_array_equal(gout, [(truth == 0).sum(), (truth == 1).sum()])
    told = json.loads((works[3].model("scored") / "release-evaluation.json").read_text())
    assert told["people"] == sum(run.enrolled.values())
    assert [one["name"] for one in told["traits"]] == ["height", "gout"]
    assert sum(one["share"] for one in told["crossed"]["quantities"]) == pytest.approx(1, abs=1e-4)
    page = (works[1].model("scored") / "release-evaluation.md").read_text()
    assert "**insecure: simulation**: its noise came from a seed and protects nobody" in page
    assert set(consortium.spends(1, "scored")) == {(1, 1)}
    ledger = consortium.work(1) / "ledger"
    done = afml("audit", "verify", ledger, "--roster", consortium.kit(1) / "roster.json", "--node", 1)
    assert "nothing found" in done.out, done.out + done.err


def test_an_evaluation_of_what_is_not_there_is_one_line_before_anything_is_spent(
    consortium: Consortium, scored: RunConfig, afml: Zygote
) -> None:
    given = scored.task.settings
    none = consortium.model_card(1, "none")["digest"]
    for name, changes, line in (
        ("other", {"model": "1" * 64}, "the model 111111111111 is not here"),
        ("unmade", {"model": none, "traits": []}, "run `afml mask` first"),
        ("traits", {"traits": [{"name": "asthma"}]}, "'asthma' is no trait of the model as it was trained"),
        ("classes", {"traits": [{"name": "asthma yes"}]}, "'asthma yes' is no trait of the model as it was trained"),
    ):
        task = scored.task.model_copy(update={"settings": given | changes})
        phases = RELEASE_EVALUATION.phases(ReleaseEvaluationSettings.model_validate(task.settings), scored.data)
        sized = tuple(one.model_copy(update={"parameters": phases[0].parameters}) for one in scored.phases)
        consortium.sign(scored.model_copy(update={"run": name, "task": task, "phases": sized}))
        done = afml("node", "--kit", consortium.kit(1), "--work", consortium.work(1), "--run",
                    consortium.run_file(name), "--aggregator", "127.0.0.1:9", "--simulation")  # fmt: skip
        assert line in done.complaint()
        assert not consortium.spends(1, name)
