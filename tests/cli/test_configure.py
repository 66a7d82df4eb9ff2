"""`afml configure --game`: variants of the game reach the signed run, and impossible ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.configure import configure
from afml.core.errors import AfmlError, ConfigError, InputError
from afml.core.run import GameSettings, NodeCard, RunConfig
from afml.genomics.sites import ANNOTATIONS
from afml.training.program import parameter_counts
from crypto.public import messages
from crypto.public.signing import sign
from crypto.secret.nodekit import load_node_kit
from crypto.secret.provision import provision

SITES, NODES = 32, 3


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kits of three nodes, each with a signed card."""
    root = tmp_path_factory.mktemp("kits") / "kits"
    provision(root, "test", NODES)
    for node in range(1, NODES + 1):
        kit = load_node_kit(root / f"node-{node}")
        card = NodeCard(node=node, site_panel="00", sites=SITES, enrolled=50)
        signed = card.model_copy(update={"signature": sign(kit.signing_key, messages.node_card(card.unsigned())).hex()})
        (root / f"card-{node}.json").write_text(signed.model_dump_json())
    return root


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
    assert config.game == wanted
    assert [phase.parameters for phase in config.phases] == list(parameter_counts(SITES, len(ANNOTATIONS), wanted))
    assert config.phases[1].parameters < parameter_counts(SITES, len(ANNOTATIONS))[1]


def test_a_number_of_steps_given_beside_the_file_wins(kits: Path, tmp_path: Path) -> None:
    config = _configure(kits, tmp_path / "run.json", "steps = 40\nlineup = 8\n", "--game-steps", 7)
    assert config.game == GameSettings(steps=7, lineup=8)


def test_batch_normalisation_needs_a_run_without_private_game_rounds(kits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    with pytest.raises(ConfigError) as refused:
        _configure(kits, out, 'normalisation = "batch"\n')
    assert str(refused.value) == (
        "run configuration: batch normalisation mixes people, so private game rounds would have no per-person "
        "gradients; use game.normalisation = 'group' or no private game rounds"
    )
    assert not out.exists()
    config = _configure(kits, out, 'normalisation = "batch"\n', "--game-rounds", 0)
    assert [phase.name for phase in config.phases] == ["risk"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("context_score = 0\n", "game.toml: context_score: Extra inputs are not permitted; correct this key"),
        ("context_scores = -1\n", "game.toml: context_scores: Input should be greater than or equal to 0"),
        ('public = ["masking", "masking"]\n', "game.toml: public: a loss is named twice; correct this key"),
        ("private = []\n", "run configuration: game.private is empty, so private game rounds would spend budget"),
    ],
)
def test_bad_settings_are_one_line(kits: Path, tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises((InputError, ConfigError)) as refused:
        _configure(kits, tmp_path / "run.json", text)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)
