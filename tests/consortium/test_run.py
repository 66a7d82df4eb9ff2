"""Run configurations refuse what would void the guarantee, and name the key that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from afml.consortium.run import FORMAT, Budget, Phase, RunConfig
from afml.core.errors import ConfigError, InputError


def settings(**changes: Any) -> dict[str, Any]:
    """A run of some task, as it is written."""
    phase = {"clip_norm": 1.0, "noise_multiplier": 4.0, "learning_rate": 1.0}
    base: dict[str, Any] = {
        "format": FORMAT,
        "run": "r1",
        "consortium": "c",
        "task": {"kind": "tiny", "version": "1", "code": "ab" * 32, "settings": {"layers": [3, 4]}},
        "data": {"kind": "table", "fingerprint": "00", "features": 8},
        "enrolled": dict.fromkeys(range(1, 6), 10),
        "quorum": 5,
        "enrolments_per_person": 1,
        "budget": {"delta": 1e-5, "ple_sigma": 1.0},
        "public_part": True,
        "phases": [
            phase | {"name": "first", "rounds": 3, "sample_rate": 1.0},
            phase | {"name": "second", "rounds": 2, "sample_rate": 0.5, "needs_public": True},
        ],
    }
    return base | changes


def test_rounds_belong_to_their_phase() -> None:
    config = RunConfig.model_validate(settings())
    assert [config.phase_of(r)[1].name for r in range(1, 6)] == ["first", "first", "first", "second", "second"]
    assert [config.phase_of(r)[0] for r in range(1, 6)] == [0, 0, 0, 1, 1]
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


def test_a_phase_waits_only_for_a_public_part_that_there_is() -> None:
    with pytest.raises(ValidationError, match="a phase needs a public part and the task has none"):
        RunConfig.model_validate(settings(public_part=False))
    assert not RunConfig.model_validate(settings(public_part=False, phases=settings()["phases"][:1])).public_part


def test_phases_say_that_they_need_the_public_part_only_where_they_do() -> None:
    first, second = RunConfig.model_validate(settings()).model_dump()["phases"]
    assert "needs_public" not in first
    assert second["needs_public"] is True


@pytest.mark.parametrize("name", ["", "Risk", "0risk", "a" * 33, "a b", "a/b", "ü"])
def test_phases_have_plain_names(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Phase.model_validate(settings()["phases"][0] | {"name": name})


@pytest.mark.parametrize(
    ("key", "value"), [("kind", "../x"), ("kind", "Tiny"), ("code", "ab"), ("code", "Z" * 64), ("surprise", 1)]
)
def test_a_task_is_named_in_plain_words(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        RunConfig.model_validate(settings(task=settings()["task"] | {key: value}))


def test_digest_does_not_depend_on_key_order() -> None:
    data = settings()
    assert RunConfig.model_validate(data).digest() == RunConfig.model_validate(dict(reversed(data.items()))).digest()
    assert RunConfig.model_validate(settings(run="r2")).digest() != RunConfig.model_validate(data).digest()


def test_digest_covers_the_task_its_code_and_its_settings() -> None:
    task, data = settings()["task"], settings()["data"]
    changed = [
        settings(task=task | {"kind": "other"}),
        settings(task=task | {"version": "2"}),
        settings(task=task | {"code": "cd" * 32}),
        settings(task=task | {"settings": {"layers": [3, 5]}}),
        settings(data=data | {"fingerprint": "01"}),
        settings(data=data | {"features": 9}),
        settings(backend="none"),
    ]
    digests = {RunConfig.model_validate(one).digest() for one in (settings(), *changed)}
    assert len(digests) == 1 + len(changed)


def test_a_file_survives_being_read_again(tmp_path: Path) -> None:
    config = RunConfig.model_validate(settings())
    path = tmp_path / "run.json"
    path.write_text(config.model_dump_json())
    assert RunConfig.load(path) == config
    assert RunConfig.load(path).digest() == config.digest()


def test_a_file_that_contradicts_itself_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(settings(quorum=6)))
    with pytest.raises(InputError) as refused:
        RunConfig.load(path)
    assert str(refused.value) == f"{path}: quorum 6 is above the 5 enrolled nodes; correct this key"


def test_at_how_many_institutions_a_person_is_enrolled_is_somebodys_signed_word(tmp_path: Path) -> None:
    silent = settings()
    del silent["enrolments_per_person"]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(silent))
    with pytest.raises(ConfigError, match=r"run\.json: does not say at how many institutions .*afml configure"):
        RunConfig.load(path)
    assert b'"enrolments_per_person":1' in RunConfig.model_validate(silent).canonical()
    with pytest.raises(ValidationError, match="nobody can be enrolled at 6 of 5 nodes"):
        RunConfig.model_validate(settings(enrolments_per_person=6))


@pytest.mark.parametrize("stated", [{}, {"format": 1}, {"format": 2}, {"format": 4}, {"format": "3"}])
def test_a_file_of_another_format_is_refused_in_one_line(tmp_path: Path, stated: dict[str, object]) -> None:
    """The first one had no such key, and settings of one task at its top."""
    old = {key: value for key, value in settings(site_panel="00", sites=8, risk={}, game={}).items() if key != "format"}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(old | stated))
    with pytest.raises(ConfigError) as refused:
        RunConfig.load(path)
    anew = "have the coordinator make a new one with `afml configure`"
    cure = "update AFML here" if stated == {"format": 4} else anew
    assert str(refused.value) == (
        f"{path}: is a run file of format {stated.get('format', 1)}; this version of AFML reads format 3; {cure}"
    )


def test_a_bad_file_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('run = "r"\nquorums = 3\n')
    with pytest.raises(InputError, match=r"run\.toml: .*(quorums|consortium)"):
        RunConfig.load(path)


@pytest.mark.parametrize("text", ["{", "[]", "3", '"phases"', "\xff"])
def test_what_is_no_run_file_at_all_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as refused:
        RunConfig.load(path)
    assert "\n" not in str(refused.value)


def test_every_number_of_a_run_is_finite() -> None:
    for bad in (float("nan"), float("inf")):
        phase = settings()["phases"][0] | {"noise_multiplier": bad}
        for wrong in ({"phases": [phase]}, {"deadline_s": bad}, {"budget": {"delta": 1e-5, "epsilon": bad}}):
            with pytest.raises(ValidationError, match="finite number"):
                RunConfig.model_validate(settings(**wrong))


def test_digests_stay_those_of_earlier_versions() -> None:
    """Signed runs are known by them. The last change was on purpose: format 3, whose bits are a sum's."""
    assert RunConfig.model_validate(settings()).digest().hex()[:16] == "d2e9f5f8e2e8c753"


def test_settings_that_no_digest_can_be_taken_of(tmp_path: Path) -> None:
    """NaN would be signed as null, and be another number than the one that was signed."""
    deep: list[Any] = []
    for _ in range(600):
        deep = [deep]
    for wrong in (float("nan"), float("inf"), "\ud800", deep):
        task = settings()["task"] | {"settings": {"a": wrong}}
        (tmp_path / "run.json").write_text(json.dumps(settings(task=task)))
        with pytest.raises(InputError, match=r"no JSON can say|nested more than 32 deep"):
            RunConfig.load(tmp_path / "run.json")
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        RunConfig.load(tmp_path / "run.json")


@pytest.mark.parametrize(
    "change", [{"noise_multiplier": 1e-200}, {"sample_rate": 5e-324}, {"rounds": 10**400}, {"noise_multiplier": 1e300}]
)
def test_numbers_beyond_what_can_be_accounted(change: dict[str, float]) -> None:
    phase = settings()["phases"][0] | change
    with pytest.raises(ValidationError, match=r"less than or equal|greater than or equal"):
        RunConfig.model_validate(settings(phases=[phase]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phases": []}, "has no phases: nothing would be trained"),
        ({"enrolled": dict.fromkeys(range(1, 6), 10) | {3: 0}}, "node 3 enrols 0 people; each has one at least"),
        ({"enrolled": dict.fromkeys(range(1, 6), 10) | {2: -4}}, "node 2 enrols -4 people"),
    ],
)
def test_a_run_of_nothing_or_nobody_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(settings(**changes)))
    with pytest.raises(InputError) as refused:
        RunConfig.load(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_half_of_a_character_is_refused_in_every_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(settings(run="a\ud800")))
    with pytest.raises(InputError, match="holds half of a character"):
        RunConfig.load(tmp_path / "run.json")
    (tmp_path / "run.json").write_text(json.dumps(settings(run="\U0001f9ec")))  # a pair of them is a character
    with pytest.raises(InputError) as found:  # and yet no name of a run
        RunConfig.load(tmp_path / "run.json")
    assert "half of a character" not in str(found.value)
