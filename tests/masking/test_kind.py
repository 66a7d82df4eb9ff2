"""The masking task as a tenant: what it says of a run, and which runs it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from afml.consortium.run import RunConfig, TaskChoice
from afml.core.errors import ConfigError
from afml.masking.chosen import NAME, genotypes, masking_settings, with_settings
from afml.masking.kind import MASKING
from afml.masking.plan import parameter_counts
from afml.masking.settings import GAME, RISK, GameSettings, MaskingSettings, RiskSettings
from afml.training.registry import agreed, find
from tests.masking.simulated import config, small_task

SITES, PEOPLE = 8, 30
PHASES = config(SITES, PEOPLE).phases
RISK_ONLY, GAME_ONLY = PHASES[:1], PHASES[1:]


def run(**changes: Any) -> RunConfig:
    return config(SITES, PEOPLE, **changes)


def test_batch_normalisation_and_private_game_rounds_exclude_each_other() -> None:
    batch = GameSettings(normalisation="batch")
    with pytest.raises(ConfigError, match=r"batch normalisation mixes people.*; use game\.normalisation = 'group'"):
        MASKING.check(run(game=batch))
    public = run(game=batch, phases=RISK_ONLY)
    MASKING.check(public)
    assert masking_settings(public).game.normalisation == "batch"


def test_private_game_rounds_train_something() -> None:
    nothing = GameSettings(private=())
    with pytest.raises(ConfigError, match=r"game\.private is empty"):
        MASKING.check(run(game=nothing))
    MASKING.check(run(game=nothing, phases=RISK_ONLY))
    assert masking_settings(run(game=nothing, phases=RISK_ONLY)).game.private == ()
    for wrong in (["masking", "masking"], ["utility"]):
        with pytest.raises(ConfigError, match=r"game\.private"):
            MASKING.settings({"game": {"private": wrong}})


def test_a_release_keeps_fewer_components_than_sites() -> None:
    with pytest.raises(ConfigError, match="at 8 sites cannot keep 8 components; lower kept_components"):
        MASKING.check(run(risk=RiskSettings(kept_components=8), phases=GAME_ONLY))
    seven = run(risk=RiskSettings(kept_components=7), phases=GAME_ONLY)
    MASKING.check(seven)
    assert masking_settings(seven).risk.scores == 7


def test_risk_rounds_need_a_trait() -> None:
    with pytest.raises(ConfigError, match="no trait is declared, so risk rounds would spend budget and learn nothing"):
        MASKING.check(run(risk=RiskSettings(kept_components=2)))


def test_phases_of_other_tasks_are_refused() -> None:
    other = RISK_ONLY[0].model_copy(update={"name": "other"})
    with pytest.raises(ConfigError, match="the masking task has no phase other"):
        MASKING.check(run(phases=(other,)))


def test_game_rounds_alone_wait_for_the_public_part() -> None:
    good = run()
    early = [phase.model_copy(update={"needs_public": False}) for phase in good.phases]
    late = [phase.model_copy(update={"needs_public": True}) for phase in good.phases]
    for wrong in ({"phases": tuple(early)}, {"phases": tuple(late)}, {"public_part": False, "phases": tuple(early)}):
        with pytest.raises(ConfigError, match="game phases, and no others, need the public part"):
            MASKING.check(good.model_copy(update=wrong))


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"risk": {"traits": "gout"}}, "risk.traits"),
        ({"game": {"batch": 0}}, "game.batch"),
        ({"release": {"patterns": 0}}, "release.patterns"),
        ({"surprise": {}}, "surprise"),
    ],
)
def test_wrong_settings_are_refused_in_one_line_that_names_the_key(wrong: dict[str, Any], key: str) -> None:
    bad = run().model_copy(update={"task": find(NAME).choice.model_copy(update={"settings": wrong})})
    for refuse in (MASKING.check, masking_settings, MASKING.lengths):
        with pytest.raises(ConfigError) as refused:
            refuse(bad)
        assert str(refused.value).startswith(f"settings of task masking: {key}: ")
        assert "\n" not in str(refused.value)


def test_settings_are_completed_and_survive_a_run() -> None:
    assert MASKING.settings({}) == MaskingSettings()
    settings = MaskingSettings(risk=RiskSettings(phenotypes=3), game=GameSettings(private=("masking",)))
    again = masking_settings(RunConfig.model_validate_json(with_settings(run(), settings).model_dump_json()))
    assert again == settings
    assert again.digest() == settings.digest()


def test_a_run_of_another_task_is_not_read_as_this_one() -> None:
    other = run().model_copy(update={"task": TaskChoice(kind="other", version="1", code="")})
    with pytest.raises(ConfigError, match="trains the task other, not masking"):
        masking_settings(other)


def test_a_run_names_the_code_that_is_installed() -> None:
    assert agreed(run().task).load() is MASKING
    assert run().task.version == find(NAME).version


def test_lengths_are_those_of_the_task_without_anybodys_data() -> None:
    for settings in (MaskingSettings(), MaskingSettings(risk=RiskSettings(phenotypes=2))):
        one = with_settings(run(), settings)
        task = small_task(one)
        assert MASKING.lengths(one) == tuple(task.length(phase) for phase in range(2))
        assert MASKING.lengths(one) == parameter_counts(SITES, settings)
    assert MASKING.lengths(run(phases=GAME_ONLY)) == MASKING.lengths(run())[1:]


def test_what_nodes_declare_of_their_genotypes() -> None:
    data = genotypes("ab", 5)
    assert (data.kind, data.fingerprint, data.features) == ("genotypes", "ab", 5)
    assert data.kind in MASKING.data


def test_phases_are_called_as_results_are() -> None:
    """Stored results and ledgers hold these words."""
    assert (RISK, GAME) == ("risk", "game")
