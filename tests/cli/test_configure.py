"""`afml configure --game`: variants of the game reach the signed run, and impossible ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.configure import configure
from afml.consortium import messages, runfile
from afml.consortium.card import NodeCard, read_cards
from afml.consortium.history import load_roster
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, ConfigError, InputError, IntegrityError
from afml.masking.chosen import genotypes, masking_settings
from afml.masking.plan import parameter_counts
from afml.masking.settings import FOCUS, RISK, GameSettings, MaskingSettings
from afml.privacy.noise import node_std
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from afml.trial.kits import make_kits
from crypto.public.signing import sign

SITES, NODES = 32, 3


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kits of three nodes, each with a signed card."""
    root = tmp_path_factory.mktemp("kits") / "kits"
    make_kits(root, "test", NODES)
    for node in range(1, NODES + 1):
        _card(root, root, node, sites=SITES)
    return root


def _card(kits: Path, out: Path, node: int, *, sites: int, max_enrolments: int = 1) -> None:
    kit = load_node_kit(kits / f"node-{node}")
    card = NodeCard(node=node, data=genotypes("00", sites), enrolled=50, max_enrolments=max_enrolments)
    signed = card.model_copy(update={"signature": sign(kit.signing_key, messages.node_card(card.unsigned())).hex()})
    (out / f"card-{node}.json").write_text(signed.model_dump_json())


def _configure(kits: Path, out: Path, game: str, *options: object) -> RunConfig:
    settings = out.with_name("game.toml")
    settings.write_text(game)
    cards = [kits / f"card-{node}.json" for node in range(1, NODES + 1)]
    arguments = [*cards, "--kit", kits / "coordinator", "--out", out, "--rounds", 2, "--game", settings, *options]
    done = CliRunner().invoke(configure, [str(part) for part in arguments])
    if isinstance(done.exception, AfmlError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return RunConfig.load(out)


def test_settings_of_the_game_are_signed_and_sized(kits: Path, tmp_path: Path) -> None:
    text = 'context_scores = 0\nidentification = "pairs"\nprivate = ["masking"]\nsteps = 40\n'
    config = _configure(kits, tmp_path / "run.json", text)
    wanted = GameSettings(context_scores=0, identification="pairs", private=("masking",), steps=40)
    assert masking_settings(config).game == wanted
    counts = parameter_counts(SITES, MaskingSettings(game=wanted))
    assert [phase.parameters for phase in config.phases] == list(counts)
    assert config.phases[1].parameters < parameter_counts(SITES, MaskingSettings())[1]


def test_sums_are_verified_where_that_is_asked_for(kits: Path, tmp_path: Path) -> None:
    believed = _configure(kits, tmp_path / "run.json", "")
    verified = _configure(kits, tmp_path / "verified.json", "", "--verified-sums")
    assert not believed.verified_sums
    assert b"verified_sums" not in believed.canonical(), "its digest is as ever"
    assert verified.verified_sums
    assert b'"verified_sums":true' in verified.canonical()


def test_noise_is_exact_where_that_is_asked_for(kits: Path, tmp_path: Path) -> None:
    usual = _configure(kits, tmp_path / "run.json", "")
    exact = _configure(kits, tmp_path / "exact.json", "", "--exact-noise")
    assert not usual.exact_noise
    assert b"exact_noise" not in usual.canonical(), "its digest is as ever"
    assert exact.exact_noise
    assert b'"exact_noise":true' in exact.canonical()
    assert [phase.noise_multiplier for phase in exact.phases] == [phase.noise_multiplier for phase in usual.phases]


def test_a_backend_is_asked_for_by_name(kits: Path, tmp_path: Path) -> None:
    assert _configure(kits, tmp_path / "run.json", "").backend == "ckks"
    assert _configure(kits, tmp_path / "run.json", "", "--backend", "ckks").backend == "ckks"
    with pytest.raises(AssertionError, match="Invalid value for '--backend'"):
        _configure(kits, tmp_path / "other.json", "", "--backend", "plain")
    assert not (tmp_path / "other.json").exists()


def test_a_plan_above_its_own_budget_is_not_signed(kits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    with pytest.raises(ConfigError, match=r"the plan comes to 0\.\d+, its own budget is 0\.5 .*raise --budget"):
        _configure(kits, out, "", "--ple", 0.9, "--budget", 0.5)
    assert not out.exists()
    assert _configure(kits, out, "", "--ple", 0.5, "--budget", 0.9).budget.ple_sigma == 0.9


def test_noise_is_made_for_what_the_cards_say_of_their_people(kits: Path, tmp_path: Path) -> None:
    for node in range(1, NODES + 1):
        _card(kits, tmp_path, node, sites=SITES, max_enrolments=node)
    (tmp_path / "coordinator").symlink_to(kits / "coordinator")
    run = _configure(tmp_path, tmp_path / "run.json", "")
    assert run.enrolments_per_person == NODES
    assert 0.88 < ple(planned_events(run), run.budget.delta).sigma <= 0.9 * (1 + 1e-9)
    one = _configure(kits, tmp_path / "one.json", "")
    assert one.enrolments_per_person == 1
    assert _configure(kits, tmp_path / "two.json", "", "--max-enrolments", 2).enrolments_per_person == 2
    with pytest.raises(ConfigError, match=r"--max-enrolments: 2 is below 3, at which node 3 says"):
        _configure(tmp_path, tmp_path / "less.json", "", "--max-enrolments", 2)
    assert not (tmp_path / "less.json").exists()


def test_a_number_of_steps_given_beside_the_file_wins(kits: Path, tmp_path: Path) -> None:
    config = _configure(kits, tmp_path / "run.json", "steps = 40\nlineup = 8\n", "--game-steps", 7)
    assert masking_settings(config).game == GameSettings(steps=7, lineup=8)


def test_a_focus_is_signed_and_costs_nothing(kits: Path, tmp_path: Path) -> None:
    said = tmp_path / "risk.toml"
    said.write_text("focus = 9\n")
    usual = _configure(kits, tmp_path / "usual.json", "")
    plain = _configure(kits, tmp_path / "run.json", "", "--focus", 0)
    focused = _configure(kits, tmp_path / "focused.json", "", "--focus", 7)
    declared = _configure(kits, tmp_path / "declared.json", "", "--risk", said)
    unsaid = _configure(kits, tmp_path / "unsaid.json", "", "--risk", said, "--focus", 0)
    found = [masking_settings(run).risk.focus for run in (usual, plain, focused, declared, unsaid)]
    assert found == [FOCUS, 0, 7, 9, 0]
    assert b"focus" not in plain.canonical(), "its digest is that of a run before there was one"
    assert b'"focus":7' in focused.canonical()
    assert focused.phases == usual.phases == plain.phases


def test_batch_normalisation_needs_a_run_without_private_game_rounds(kits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    with pytest.raises(ConfigError) as refused:
        _configure(kits, out, 'normalisation = "batch"\n', "--run", "r")
    assert str(refused.value) == (
        "run r: batch normalisation mixes people, so private game rounds would have no per-person "
        "gradients; use game.normalisation = 'group' or no private game rounds; configure the run again"
    )
    assert not out.exists()
    config = _configure(kits, out, 'normalisation = "batch"\n', "--game-rounds", 0)
    assert [phase.name for phase in config.phases] == [RISK]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "context_score = 0\n",
            "game.toml: context_score: is not known here; did you mean context_scores? Otherwise correct this key",
        ),
        ("context_scores = -1\n", "game.toml: context_scores: Input should be greater than or equal to 0"),
        ('public = ["masking", "masking"]\n', "game.toml: public: a loss is named twice; correct this key"),
        ("batch = 0\n", "game.toml: batch: Input should be greater than or equal to 1; correct this key"),
        ("site_cost = nan\n", "game.toml: site_cost: Input should be a finite number; correct this key"),
        ("private = []\n", ": game.private is empty, so private game rounds would spend budget"),
    ],
)
def test_bad_settings_are_one_line(kits: Path, tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises((InputError, ConfigError)) as refused:
        _configure(kits, tmp_path / "run.json", text)
    assert complaint in str(refused.value)
    assert not (tmp_path / "run.json").exists()
    assert "\n" not in str(refused.value)


def test_a_release_method_that_nobody_knows_is_refused(kits: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('[release]\nmethod = "greedier"\n')
    cards = [kits / f"card-{node}.json" for node in range(1, NODES + 1)]
    arguments = [*cards, "--kit", kits / "coordinator", "--out", tmp_path / "run.json", "--run", "r", "--rounds", 2,
                 "--settings", tmp_path / "settings.toml"]  # fmt: skip
    done = CliRunner().invoke(configure, [str(part) for part in arguments])
    assert str(done.exception) == (
        "run r: there is no release method called 'greedier'; use one of auto, codebook, greedy, network, cells, "
        "static, levels"
    )
    assert not (tmp_path / "run.json").exists()


def test_a_run_that_cannot_be_signed_is_not_written(
    kits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise ConfigError("no")

    monkeypatch.setattr(runfile, "sign", refuse)
    with pytest.raises(ConfigError, match=r"^no$"):
        _configure(kits, tmp_path / "run.json", "")
    assert [path.name for path in tmp_path.iterdir()] == ["game.toml"]


def test_components_that_the_sites_do_not_have_are_refused(kits: Path, tmp_path: Path) -> None:
    """Sixteen are the most that a run may keep, so this takes a panel of sixteen sites."""
    few = tmp_path / "cards"
    few.mkdir()
    (few / "coordinator").symlink_to(kits / "coordinator")
    for node in range(1, NODES + 1):
        _card(kits, few, node, sites=16)
    (tmp_path / "risk.toml").write_text("kept_components = 16\n")
    with pytest.raises(ConfigError) as refused:
        _configure(few, tmp_path / "run.json", "", "--risk", tmp_path / "risk.toml", "--run", "r")
    assert str(refused.value) == (
        "run r: a release at 16 sites cannot keep 16 components; lower kept_components or prepare more sites; "
        "configure the run again"
    )
    assert not (tmp_path / "run.json").exists()


def test_a_card_that_another_key_signed_names_the_way_out(kits: Path, tmp_path: Path) -> None:
    """As it is once its institution has changed keys."""
    signed = NodeCard.load(kits / "card-1.json")
    other = sign(load_node_kit(kits / "node-2").signing_key, messages.node_card(signed.unsigned())).hex()
    (tmp_path / "card-1.json").write_text(signed.model_copy(update={"signature": other}).model_dump_json())
    with pytest.raises(IntegrityError, match=r"card-1\.json: signature does not match .* run `afml prepare`"):
        read_cards([tmp_path / "card-1.json"], load_roster(kits / "coordinator"))


def test_a_quorum_of_all_is_said_with_what_one_less_would_cost(tmp_path: Path) -> None:
    kits = tmp_path / "kits"
    make_kits(kits, "test", 4)
    for node in range(1, 5):
        _card(kits, kits, node, sites=SITES)

    def told(name: str, nodes: int, *options: object) -> tuple[list[str], RunConfig]:
        cards, out = [kits / f"card-{node}.json" for node in range(1, nodes + 1)], tmp_path / f"{name}.json"
        fixed = ("--kit", kits / "coordinator", "--out", out, "--rounds", 2)
        done = CliRunner().invoke(configure, [str(part) for part in (*cards, *fixed, *options)])
        assert done.exit_code == 0, done.output
        *lines, columns = done.output.splitlines()[1:]
        assert columns.startswith(
            "each institution's table must have the columns phenotype (0 or 1); no card says whether"
        )
        return lines, RunConfig.load(out)

    said, whole = told("all", 4)
    assert said == [
        "every one of the 4 is needed in each sum; --quorum 3 lets one be away, and each then adds 1.22 times the noise"
    ]
    said, fewer = told("fewer", 4, "--quorum", 3)
    assert said == []
    more = node_std(fewer, fewer.phases[0]) / node_std(whole, whole.phases[0])
    assert f"{more:.2f}" == "1.22", "the same budget"
    assert told("three", 3)[0] == [], "two would be too few"
    assert told("colluding", 4, "--max-colluding", 2)[0] == [], "three would be too few"
    said, whole = told("local", 4, "--noise", "local")
    assert said == ["every one of the 4 is needed in each sum; --quorum 3 lets one be away, at the same noise"]
    _, fewer = told("local-fewer", 4, "--noise", "local", "--quorum", 3)
    assert node_std(fewer, fewer.phases[0]) == node_std(whole, whole.phases[0])
