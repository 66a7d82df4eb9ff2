"""`--json` of verbs that print tables: the keys that docs/JSON.md promises, and the figures of the lines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from afml.cli.main import cli
from afml.consortium.run import RunConfig
from afml.core.bounded import at_least, at_most
from afml.core.errors import AfmlError
from tests.cli.institution import SITES, Institution
from tests.cli.jsonpage import keys
from tests.cli.zygote import Zygote


def said(*words: object, code: int = 0) -> str:
    found = CliRunner().invoke(cli, list(map(str, words)))
    refused = found.exception.exit_code if isinstance(found.exception, AfmlError) else found.exit_code
    assert refused == code, found.output + repr(found.exception)
    return found.stdout


@pytest.fixture(scope="module")
def signed(good: Institution, afml: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An institution with a policy, and a run that it may approve."""
    root = tmp_path_factory.mktemp("json")
    for name in ("kits", "work-1", "work-2"):
        shutil.copytree(good.root / name, root / name)
    (root / "kits" / "node-1" / "policy.toml").unlink(missing_ok=True)
    options = ("--lifetime", 0.9, "--trust", 2, "--quorum", 2, "--approval")
    assert afml("policy", "init", "--kit", root / "kits" / "node-1", *options).code == 0
    cards = [root / f"work-{node}" / "card.json" for node in (1, 2)]
    how = ("--noise", "local", "--quorum", 2, "--max-colluding", 0, "--rounds", 2, "--ple", 0.5, "--budget", 0.9)
    done = afml("configure", *cards, "--kit", root / "kits" / "coordinator", "--out", root / "run.json", *how)
    assert done.code == 0, done.err
    return root


def test_run_show(signed: Path) -> None:
    words = ("run", "show", signed / "run.json", "--kit", signed / "kits" / "node-1", "--work", signed / "work-1")
    lines, found = said(*words), json.loads(said(*words, "--json"))
    config = RunConfig.load(signed / "run.json")
    assert set(found) == keys("run show")
    assert (found["quorum"], found["noise"], found["approval"]) == (2, "local", "missing")
    assert (found["rounds"], found["configuration"]) == (config.rounds, config.digest().hex())
    assert f"would spend at most {at_most(found['ple_sigma'])} sigma (epsilon {at_most(found['epsilon'])})" in lines
    assert f"{found['enrolled']} people of this site are enrolled" in lines
    after = f"with this run: {at_most(found['after_ple_sigma'])} of {at_least(found['limit_ple_sigma'])} sigma"
    assert f"{after}, {at_least(found['left_ple_sigma'])} left" in lines
    assert (found["spent_ple_sigma"], found["committed_ple_sigma"], found["refusals"]) == (0.0, 0.0, [])


def test_policy_check_and_its_exit_code(signed: Path, tmp_path: Path) -> None:
    kit = Path(shutil.copytree(signed / "kits" / "node-1", tmp_path / "kit"))
    found = json.loads(said("policy", "check", "--kit", kit, "--json"))
    assert set(found) == keys("policy check")
    assert (found["run"], found["trusted_nodes"], found["keys_not_on_roster"]) == (None, [2], 0)
    assert found["policy"]["lifetime"]["ple_sigma"] == 0.9
    allowed = json.loads(said("policy", "check", "--kit", kit, "--run", signed / "run.json", "--json"))["run"]
    assert set(allowed) == keys("run show") & set(allowed)
    assert allowed["refusals"] == []
    policy = kit / "policy.toml"
    policy.write_text(policy.read_text().replace("rounds = 500", "rounds = 1"))
    words = ("policy", "check", "--kit", kit, "--run", signed / "run.json")
    (refused,) = json.loads(said(*words, "--json", code=3))["run"]["refusals"]
    assert f"refused: {refused}\n" in said(*words, code=3)


def test_panel_show_and_diff(good: Institution, tmp_path: Path) -> None:
    made = [tmp_path / "a.panel", tmp_path / "b.panel"]
    for number, out in enumerate(made):
        said("panel", "create", good.root / "panel.vcf.gz", "--out", out, "--sites", SITES - number)
    found: dict[str, Any] = json.loads(said("panel", "show", made[0], "--json"))
    assert set(found) == keys("panel show")
    assert (found["sites"], sum(found["contigs"].values()), found["people"], found["drawn"]) == (SITES, SITES, 60, None)
    assert f"frequencies: {found['least_maf']:.4f} to {found['most_maf']:.4f}\n" in said("panel", "show", made[0])
    same = json.loads(said("panel", "diff", made[0], made[0], "--json"))
    assert set(same) == keys("panel diff")
    assert same == {"same": True, "one": found["digest"], "other": found["digest"], "differences": []}
    apart = json.loads(said("panel", "diff", *made, "--json", code=1))
    assert apart["same"] is False
    assert "\n".join(apart["differences"]) + "\n" == said("panel", "diff", *made, code=1)


def test_consortium_show(signed: Path, tmp_path: Path) -> None:
    kit = signed / "kits" / "node-1"
    found = json.loads(said("consortium", "show", "--kit", kit, "--json"))
    assert set(found) == keys("consortium show")
    assert [one["node"] for one in found["members"]] == [1, 2]
    (version,) = found["versions"]
    assert (version["version"], version["institutions"], version["changes"], version["countersigned_by"]) == (
        1, 2, [], {},
    )  # fmt: skip
    assert f"version 1: 2 institutions; fingerprint {version['fingerprint']}" in said(
        "consortium", "show", "--kit", kit
    )


def test_mask_json_is_of_the_frontier_alone(signed: Path) -> None:
    node = ("--kit", signed / "kits" / "node-1", "--work", signed / "work-1", "--run", signed / "run.json")
    found = CliRunner().invoke(cli, ["mask", *map(str, node), "--json"])
    assert found.exit_code != 0
    assert "goes with --frontier" in str(found.exception) + found.output
