"""A consortium of two: its policies, its runs and what each refusal tells to do lead to a run that is approved."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from afml.cli.configure import configure
from afml.cli.policy import policy
from afml.consortium import messages
from afml.consortium.card import NodeCard
from afml.consortium.nodekit import load_node_kit
from afml.core.errors import ConfigError, InputError, PolicyError
from afml.masking.chosen import genotypes
from afml.operate.next import next_of
from afml.operate.place import Place
from crypto.public.signing import sign
from node.policy import load
from tests.cli.officer import PEOPLE, call, desk, kit, on, shown


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return pair(tmp_path)


def pair(root: Path, nodes: int = 2) -> Path:
    """The desk of an officer of one of two institutions, and the cards of both."""
    desk(root, nodes)
    for node in range(1, nodes + 1):
        card = NodeCard(node=node, data=genotypes("00", 9), enrolled=len(PEOPLE))
        key = load_node_kit(root / "kits" / f"node-{node}").signing_key
        signed = card.model_copy(update={"signature": sign(key, messages.node_card(card.unsigned())).hex()})
        (root / f"card-{node}.json").write_text(signed.model_dump_json())
    (root / "work" / "card.json").write_bytes((root / "card-1.json").read_bytes())
    return root


def configured(place: Path, *how: object) -> str:
    cards = sorted(place.glob("card-*.json"))
    asked = ("--kit", place / "kits" / "coordinator", "--rounds", 2, "--game-rounds", 0, "--ple", 0.5, "--run", "first")
    return call(configure, *cards, *asked, "--out", place / "run.json", *how)


def test_the_policy_of_one_of_two_is_one_that_their_runs_can_meet(place: Path) -> None:
    told = call(policy, "init", "--kit", kit(place), "--trust-roster", "--approval")
    rules = load(kit(place)).run
    assert (rules.quorum, rules.noise) == (2, ("local",))
    assert "each institution can take its own update off and read the other's" in told
    assert "this policy allows no other (`afml configure --noise local`)" in told
    assert "nothing stands in its way" in allowed(place)
    assert "is approved" in on(place, "approve", place / "run.json")


def allowed(place: Path) -> str:
    assert "that one's noise alone on it: all the noise that is counted" in configured(place, "--noise", "local")
    return shown(place, place / "run.json")


def test_it_can_be_asked_for_by_number_and_leads_to_an_approval(place: Path) -> None:
    call(policy, "init", "--kit", kit(place), "--quorum", 2)
    assert "nothing stands in its way" in allowed(place)
    assert "is approved" in on(place, "approve", place / "run.json")


@pytest.mark.parametrize(("nodes", "quorum"), [(3, 3), (5, 3)])
def test_more_institutions_are_told_nothing_of_it(tmp_path: Path, nodes: int, quorum: int) -> None:
    place = pair(tmp_path, nodes)
    told = call(policy, "init", "--kit", kit(place))
    assert (load(kit(place)).run.quorum, load(kit(place)).run.noise) == (quorum, ("distributed", "local"))
    assert "sum of two" not in told
    assert "institutions in a sum, and the roster has" not in call(policy, "check", "--kit", kit(place))
    assert "sum may be of two" not in configured(place)


def test_a_quorum_that_no_run_of_two_can_meet_is_told_when_it_is_written_and_read(place: Path) -> None:
    line = "3 institutions in a sum, and the roster has 2: each run is refused until run.quorum is 2 at most"
    assert line in call(policy, "init", "--kit", kit(place), "--quorum", 3)
    assert line in call(policy, "check", "--kit", kit(place))
    assert json.loads(call(policy, "check", "--kit", kit(place), "--json"))["institutions"] == 2
    told = allowed(place)
    assert "this site's policy demands 3 at least (run.quorum of policy.toml); have it made of 3 institutions" in told
    assert "set run.quorum to 2 in policy.toml" in told
    written = (kit(place) / "policy.toml").read_text()
    (kit(place) / "policy.toml").write_text(written.replace("quorum = 3", "quorum = 2"))
    assert "nothing stands in its way" in shown(place, place / "run.json")


def test_noise_that_two_cannot_share_is_refused_with_a_cure_that_two_can_follow(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs 3 institutions .* and there are 2; give --noise local"):
        configured(place)
    with pytest.raises(ConfigError, match=r"--quorum: 3 institutions in a sum, and there are 2; give no more"):
        configured(place, "--quorum", 3)
    assert not (place / "run.json").exists()
    told = configured(place, "--max-colluding", 0)
    assert "that one's noise alone on it: less noise than is counted" in told
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    told = shown(place, place / "run.json")
    assert "that one's noise alone on it: less noise than is counted" in told
    assert "has distributed noise, this site's policy allows local (run.noise of policy.toml)" in told


def test_three_are_told_to_raise_the_quorum_where_they_can(tmp_path: Path) -> None:
    place = pair(tmp_path, 3)
    with pytest.raises(ConfigError, match=r"needs 3 institutions .*, not 2; give --quorum 3 or more, or --noise local"):
        configured(place, "--quorum", 2)
    call(policy, "init", "--kit", kit(place))
    configured(place, "--quorum", 2, "--noise", "local")
    assert "have it made with `afml configure --quorum 3`" in shown(place, place / "run.json")
    told = configured(place, "--max-colluding", 0, "--force")
    assert "each knows its own: what it can read in a sum is under less noise than is counted" in told


def test_who_is_not_trusted_is_there_for_programs_too(place: Path) -> None:
    call(policy, "init", "--kit", kit(place))
    told = json.loads(call(policy, "check", "--kit", kit(place), "--json"))
    assert (told["trusted_nodes"], told["untrusted_nodes"]) == ([], [2])
    assert "not trusted, so that this site does not count on its noise: node 2" in call(
        policy, "check", "--kit", kit(place)
    )


def test_what_comes_next_is_what_two_can_do(place: Path) -> None:
    coordinator = place / "kits" / "coordinator"
    assert next_of(Place(coordinator)).command.endswith("--out run.json --noise local")
    asked = next_of(Place(kit(place), place / "work"))
    assert "--trust NODE" in asked.what
    assert asked.command == f"afml policy init --kit {kit(place)} --lifetime 0.9 --trust-roster"
    call(policy, *shlex.split(asked.command)[2:], "--quorum", 3)
    configured(place, "--noise", "local")
    here = Place(kit(place), place / "work", place / "run.json")
    following = next_of(here)
    assert following.what.startswith("settle first what is refused here: run first: goes ahead with 2 institutions")
    assert following.command.startswith("afml run show ")
    with pytest.raises(PolicyError):
        on(place, "show", place / "run.json")
    written = (kit(place) / "policy.toml").read_text()
    (kit(place) / "policy.toml").write_text(written.replace("quorum = 3", "quorum = 2"))
    assert next_of(Place(kit(place), place / "work", place / "run.json")).what == "take part"
    on(place, "close", place / "run.json")
    over = next_of(Place(kit(place), place / "work", place / "run.json"))
    assert over.what.startswith("nothing more in this run: over here since ")
    (place / "run.sig").unlink()
    unsigned = next_of(Place(kit(place), place / "work", place / "run.json"))
    assert "run.sig: run signature does not exist" in unsigned.what


@pytest.mark.parametrize("verb", ["show", "approve", "close"])
def test_a_runs_name_is_not_its_file(place: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    call(policy, "init", "--kit", kit(place))
    configured(place, "--noise", "local")
    monkeypatch.chdir(place)
    with pytest.raises(InputError, match=r"^first: is no file; .*; give run\.json$"):
        on(place, verb, Path("first"))
    with pytest.raises(
        InputError, match=r"^second: is no file; .*; give the run\.json that the coordinator has signed"
    ):
        on(place, verb, Path("second"))
    served = place / "served" / "offered" / "ab"
    served.mkdir(parents=True)
    for name in ("run.json", "run.sig"):
        (place / name).rename(served / name)
    with pytest.raises(InputError, match=r"give served/offered/ab/run\.json$"):
        on(place, verb, Path("first"))
    with pytest.raises(InputError, match=r"ab: is a folder; .*; give .*served/offered/ab/run\.json$"):
        on(place, verb, served)
