"""Settings of the masking task: what each may be, and that digests stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from afml.core.errors import InputError
from afml.data.columns import Column
from afml.masking.settings import GameSettings, MaskingSettings, ReleaseSettings, RiskSettings, Trait


@pytest.mark.parametrize("traits", [3, 0.5, True, "gout", {"name": "gout"}, None])
def test_traits_that_are_no_list_are_refused_in_one_line(tmp_path: Path, traits: object) -> None:
    for name, whole in (("risk.json", {"traits": traits}), ("masking.json", {"risk": {"traits": traits}})):
        path = tmp_path / name
        path.write_text(json.dumps(whole))
        with pytest.raises(InputError, match=r"traits.*; correct this key$") as refused:
            (RiskSettings if name == "risk.json" else MaskingSettings).load(path)
        assert "\n" not in str(refused.value)


def test_a_binary_trait_has_no_scale() -> None:
    for scale in ({"centre": 170.0}, {"spread": 9.5}):
        with pytest.raises(ValidationError, match=r"'height' is binary and has a centre or spread; declare kind ="):
            RiskSettings.model_validate({"traits": [{"name": "height", **scale}]})
        RiskSettings.model_validate({"traits": [{"name": "height", "kind": "quantitative", **scale}]})
    written = RiskSettings(traits=(Trait(name="gout"),))
    assert RiskSettings.model_validate_json(written.model_dump_json()) == written


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


def test_a_loss_is_named_once_and_exists() -> None:
    for wrong in (["masking", "masking"], ["utility"]):
        with pytest.raises(ValidationError, match=r"game\.private"):
            MaskingSettings.model_validate({"game": {"private": wrong}})


def test_variants_of_the_game_are_in_the_digest_only_where_they_are_used() -> None:
    plain = MaskingSettings()
    variants: dict[str, Any] = {
        "context_scores": 0, "normalisation": "batch", "identification": "pairs", "private": ["masking"], "public": [],
    }  # fmt: skip
    assert not set(variants) & set(plain.model_dump()["game"])
    digests = {plain.digest()}
    for key, value in variants.items():
        game = GameSettings.model_validate({key: value})
        assert GameSettings.model_validate_json(game.model_dump_json()) == game
        digests.add(MaskingSettings(game=game).digest())
    assert len(digests) == 1 + len(variants)
    orders = [GameSettings.model_validate({"public": order}) for order in (["masking", "identification"], [])]
    assert orders[0].digest() == GameSettings().digest() != orders[1].digest()


def test_digests_stay_those_of_earlier_versions() -> None:
    """Signed runs and stored results are known by them."""
    height = Trait(name="h", kind="quantitative", centre=1.0, spread=2.0)
    traits = RiskSettings(traits=(Trait(name="a"), height), covariates=(Column(name="c"),))
    models = (RiskSettings(), GameSettings(), ReleaseSettings(fill="major"), traits)
    assert [model.digest().hex()[:16] for model in models] == [
        "a03b649df87081a1", "e57f42dbba68110b", "200dc971e39266a1", "c53ab3f280fb31e3"
    ]  # fmt: skip
