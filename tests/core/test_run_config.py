"""Run configurations refuse what would void the guarantee, and name the key that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from afml.core.errors import InputError
from afml.core.run import Budget, Column, GameSettings, ReleaseSettings, RiskSettings, RunConfig, Trait


def settings(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "run": "r1", "consortium": "c", "site_panel": "00", "sites": 8, "enrolled": dict.fromkeys(range(1, 6), 10),
        "quorum": 5, "budget": {"delta": 1e-5, "ple_sigma": 1.0},
        "phases": [
            {"name": "risk", "rounds": 3, "sample_rate": 1.0, "clip_norm": 1.0, "noise_multiplier": 4.0,
             "learning_rate": 1.0},
            {"name": "game", "rounds": 2, "sample_rate": 0.5, "clip_norm": 1.0, "noise_multiplier": 4.0,
             "learning_rate": 1.0},
        ],
    }
    return base | changes


def test_rounds_belong_to_their_phase() -> None:
    config = RunConfig.model_validate(settings())
    assert [config.phase_of(r)[1].name for r in range(1, 6)] == ["risk", "risk", "risk", "game", "game"]
    with pytest.raises(IndexError):
        config.phase_of(6)


def test_distributed_noise_needs_a_quorum() -> None:
    with pytest.raises(ValidationError, match="max_colluding"):
        RunConfig.model_validate(settings(quorum=2))
    assert RunConfig.model_validate(settings(quorum=2, noise="local")).quorum == 2
    with pytest.raises(ValidationError, match="above the 5 enrolled"):
        RunConfig.model_validate(settings(quorum=6))


def test_a_budget_is_one_number() -> None:
    for wrong in ({}, {"epsilon": 1.0, "ple_sigma": 1.0}):
        with pytest.raises(ValidationError, match="exactly one"):
            Budget(delta=1e-5, **wrong)


def test_batch_normalisation_and_private_game_rounds_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match=r"batch normalisation mixes people.*; use game\.normalisation = 'group'"):
        RunConfig.model_validate(settings(game={"normalisation": "batch"}))
    public = settings(game={"normalisation": "batch"}, phases=settings()["phases"][:1])
    assert RunConfig.model_validate(public).game.normalisation == "batch"


def test_private_game_rounds_train_something() -> None:
    with pytest.raises(ValidationError, match=r"game\.private is empty"):
        RunConfig.model_validate(settings(game={"private": []}))
    assert RunConfig.model_validate(settings(game={"private": []}, phases=settings()["phases"][:1])).game.private == ()
    for wrong in (["masking", "masking"], ["utility"]):
        with pytest.raises(ValidationError, match=r"game\.private"):
            RunConfig.model_validate(settings(game={"private": wrong}))


def test_variants_of_the_game_are_in_the_digest_only_where_they_are_used() -> None:
    plain = RunConfig.model_validate(settings())
    variants: dict[str, Any] = {
        "context_scores": 0, "normalisation": "batch", "identification": "pairs", "private": ["masking"], "public": [],
    }  # fmt: skip
    assert not set(variants) & set(plain.model_dump()["game"])
    phases = plain.phases[:1]
    digests = {plain.model_copy(update={"phases": phases}).digest()}
    for key, value in variants.items():
        game = GameSettings.model_validate({key: value})
        assert GameSettings.model_validate_json(game.model_dump_json()) == game
        digests.add(plain.model_copy(update={"phases": phases, "game": game}).digest())
    assert len(digests) == 1 + len(variants)
    orders = [GameSettings.model_validate({"public": order}) for order in (["masking", "identification"], [])]
    assert orders[0].digest() == GameSettings().digest() != orders[1].digest()


def test_digest_does_not_depend_on_key_order() -> None:
    data = settings()
    assert RunConfig.model_validate(data).digest() == RunConfig.model_validate(dict(reversed(data.items()))).digest()
    assert RunConfig.model_validate(settings(run="r2")).digest() != RunConfig.model_validate(data).digest()


def test_a_file_that_contradicts_itself_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(settings(quorum=6)))
    with pytest.raises(InputError) as refused:
        RunConfig.load(path)
    assert str(refused.value) == f"{path}: quorum 6 is above the 5 enrolled nodes; correct this key"


def test_a_bad_file_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('run = "r"\nquorums = 3\n')
    with pytest.raises(InputError, match=r"run\.toml: .*(quorums|consortium)"):
        RunConfig.load(path)


@pytest.mark.parametrize("traits", [3, 0.5, True, "gout", {"name": "gout"}, None])
def test_traits_that_are_no_list_are_refused_in_one_line(tmp_path: Path, traits: object) -> None:
    for name, whole in (("risk.json", {"traits": traits}), ("run.json", settings(risk={"traits": traits}))):
        path = tmp_path / name
        path.write_text(json.dumps(whole))
        with pytest.raises(InputError, match=r"traits.*; correct this key$") as refused:
            (RiskSettings if name == "risk.json" else RunConfig).load(path)
        assert "\n" not in str(refused.value)


def test_a_binary_trait_has_no_scale() -> None:
    for scale in ({"centre": 170.0}, {"spread": 9.5}):
        with pytest.raises(ValidationError, match=r"'height' is binary and has a centre or spread; declare kind ="):
            RiskSettings.model_validate({"traits": [{"name": "height", **scale}]})
        RiskSettings.model_validate({"traits": [{"name": "height", "kind": "quantitative", **scale}]})
    written = RiskSettings(traits=(Trait(name="gout"),))
    assert RiskSettings.model_validate_json(written.model_dump_json()) == written


def test_a_release_keeps_fewer_components_than_sites() -> None:
    game = settings()["phases"][1:]
    with pytest.raises(ValidationError, match="at 8 sites cannot keep 8 components; lower kept_components"):
        RunConfig.model_validate(settings(risk={"kept_components": 8}, phases=game))
    assert RunConfig.model_validate(settings(risk={"kept_components": 7}, phases=game)).risk.scores == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0}, {"learning_rate": 0.0}, {"learning_rate": -1.0}, {"utility_weight": -0.1},
        {"adversary_weight": -1.0}, {"site_cost": -1e-9}, {"genotype_error": 3.0}, {"genotype_error": 1.0},
        {"genotype_error": -0.1}, *({key: bad} for key in ("learning_rate", "utility_weight", "adversary_weight",
        "site_cost", "genotype_error") for bad in (float("nan"), float("inf"))),
    ],
)  # fmt: skip
def test_numbers_of_the_game_are_bounded_and_finite(wrong: dict[str, float]) -> None:
    (key,) = wrong
    with pytest.raises(ValidationError, match=key):
        GameSettings.model_validate(wrong)


def test_every_number_of_a_run_is_finite() -> None:
    for bad in (float("nan"), float("inf")):
        phase = settings()["phases"][0] | {"noise_multiplier": bad}
        for wrong in ({"phases": [phase]}, {"deadline_s": bad}, {"budget": {"delta": 1e-5, "epsilon": bad}}):
            with pytest.raises(ValidationError, match="finite number"):
                RunConfig.model_validate(settings(**wrong))


def test_digests_stay_those_of_earlier_versions() -> None:
    """Signed runs and stored results are known by them."""
    height = Trait(name="h", kind="quantitative", centre=1.0, spread=2.0)
    traits = RiskSettings(traits=(Trait(name="a"), height), covariates=(Column(name="c"),))
    models = (RiskSettings(), GameSettings(), ReleaseSettings(), RunConfig.model_validate(settings()), traits)
    assert [model.digest().hex()[:16] for model in models] == [
        "a03b649df87081a1", "e57f42dbba68110b", "200dc971e39266a1", "b138bb3e4f239b4a", "c53ab3f280fb31e3"
    ]  # fmt: skip
