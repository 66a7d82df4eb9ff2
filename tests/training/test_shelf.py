"""Saved models: found by digest, refused in one line where they do not fit, described with what they began from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from afml.cli.model import export, list_, show
from afml.cli.predict import predict
from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, ConfigError, IntegrityError
from afml.data.prepared import Prepared
from afml.privacy.events import gaussian_rounds
from afml.privacy.ple import ple
from afml.training.export import FORMATS
from afml.training.model import ArrayModel, run_card
from afml.training.modelpage import markdown, model_card
from afml.training.registry import find
from afml.training.shelf import find_model, open_model

DATA = {"kind": "genotypes", "fingerprint": "ab" * 32, "features": 3}


def run_of(name: str, **more: Any) -> RunConfig:
    task = find("masking").choice.model_dump()
    phase = {"name": "train", "rounds": 4, "sample_rate": 1.0, "clip_norm": 1.0, "noise_multiplier": 5.0,
             "learning_rate": 0.1}  # fmt: skip
    return RunConfig.model_validate({
        "run": name, "consortium": "c", "task": task, "data": DATA, "enrolled": {1: 10, 2: 20}, "quorum": 2,
        "noise": "local", "budget": {"delta": 1e-5, "ple_sigma": 9.0}, "phases": [phase], "reserve_attempts": 0,
    } | more)  # fmt: skip


def saved(place: Path, name: str, start: str = "", **more: Any) -> str:
    card = run_card(run_of(name, **more)) | {"start": start}
    model = ArrayModel({"weight": np.arange(6.0).reshape(2, 3), name: np.zeros(())}, card)
    model.save(place / name)
    return model.digest()


def test_a_model_is_found_by_its_digest_wherever_it_is(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "shelf", "first"), saved(tmp_path / "apart", "second")
    (tmp_path / "shelf" / "notes").mkdir()
    places = (tmp_path / "shelf", tmp_path / "apart" / "second", tmp_path / "nowhere")
    for digest, run in ((first, "first"), (second, "second")):
        assert find_model(digest, places).card["run"] == run
    with pytest.raises(ConfigError, match="the model 000000000000 is not here"):
        find_model("0" * 64, places)
    stored = tmp_path / "shelf" / "first" / "model.npz"
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        find_model(first, places)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"config": None}, "does not say what run made it"),
        ({"config": {"run": "r"}}, "does not say what run made it"),
        ({"task": {"kind": "nowhere"}}, "the task nowhere is not installed here"),
        ({"data": {"fingerprint": "cd" * 32}}, "is made for the data genotypes cdcdcdcdcdcd"),
    ],
)
def test_what_cannot_be_opened_is_one_line(tmp_path: Path, change: dict[str, Any], line: str) -> None:
    config: dict[str, Any] = run_of("r").model_dump(mode="json")
    card: dict[str, Any] = {"config": config}
    for name, value in change.items():
        if name == "config":
            card["config"] = value
        else:
            config[name] |= value
    prepared = Prepared(tmp_path, tmp_path / "people.tsv", DataAgreement.model_validate(DATA))
    with pytest.raises(AfmlError) as told:
        open_model(ArrayModel({}, card), prepared)
    assert line in str(told.value)
    assert len(str(told.value).splitlines()) == 1


def test_a_model_of_a_task_that_the_site_does_not_allow_is_shown_to_nobody(tmp_path: Path) -> None:
    run = run_of("r")
    allowed = tuple({"evaluation", "masking"} - {run.task.kind})
    prepared = Prepared(tmp_path, tmp_path / "people.tsv", DataAgreement.model_validate(DATA), tasks=allowed)
    with pytest.raises(AfmlError, match=f"is of the task {run.task.kind}, this site's policy allows evaluation"):
        open_model(ArrayModel({}, {"config": run.model_dump(mode="json")}), prepared)


def test_a_card_counts_what_a_model_began_from_and_what_all_cost(tmp_path: Path) -> None:
    first = saved(tmp_path, "first")
    second = saved(tmp_path, "second", start=first)
    saved(tmp_path, "third", start=second)
    cards = [model_card(tmp_path / name) for name in ("first", "second", "third")]
    assert [card["version"] for card in cards] == [1, 2, 3]
    alone = ple([gaussian_rounds(1.0, 5.0, 4)], 1e-5).sigma
    assert [card["ple_sigma"] for card in cards] == pytest.approx([alone] * 3)
    assert cards[0]["ple_sigma_with_ancestors"] is None
    assert cards[2]["ple_sigma_with_ancestors"] == pytest.approx(alone * 3**0.5)
    assert (cards[0]["numbers"], cards[0]["people"]) == (7, {"1": 10, "2": 20})
    page = markdown(cards[2])
    assert f"| version | 3, began from `{second[:12]}`; with those before it PLE {alone * 3**0.5:.3f} sigma" in page
    assert "| weight | 2 x 3 |" in page
    assert "| third | one number |" in page


def test_a_card_says_what_it_does_not_know(tmp_path: Path) -> None:
    saved(tmp_path, "orphan", start="0" * 64)
    saved(tmp_path, "trial", seed=3)
    orphan, trial = (model_card(tmp_path / name) for name in ("orphan", "trial"))
    assert (orphan["version"], orphan["ple_sigma_with_ancestors"]) == (None, None)
    assert "a model before it is not here" in markdown(orphan)
    assert (trial["insecure"], trial["ple_sigma"], trial["epsilon"]) == (True, None, None)
    assert "insecure: simulation" in markdown(trial)
    ArrayModel({"weight": np.zeros(2)}, {"run": "old"}).save(tmp_path / "old")
    assert "# Model old" in markdown(model_card(tmp_path / "old"))


def test_the_statement_of_an_institution_stands_beside_the_model(tmp_path: Path) -> None:
    digest = saved(tmp_path, "first")
    statement = {"insecure": False, "ple_sigma": 0.4, "delta": 1e-6}
    (tmp_path / "first" / "privacy.json").write_text(json.dumps(statement))
    assert model_card(tmp_path / "first")["digest"] == digest
    assert "have spent PLE 0.400 sigma at delta 1e-06 at most" in markdown(model_card(tmp_path / "first"))


def test_every_format_keeps_every_number_and_shape(tmp_path: Path) -> None:
    import safetensors.numpy
    import torch

    arrays = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T, "n": np.array(3.5), "i": np.arange(3)}
    model = ArrayModel(arrays, {"run": "r", "words": "é"})
    for form, write in FORMATS.items():
        write(tmp_path / form, model)
    with safetensors.safe_open(tmp_path / "safetensors", "numpy") as opened:
        assert json.loads(opened.metadata()["afml"]) == model.card
    with np.load(tmp_path / "npz", allow_pickle=False) as archive:
        plain = dict(archive)
    loaded = torch.load(tmp_path / "torch", weights_only=True)
    for found in (safetensors.numpy.load_file(tmp_path / "safetensors"), plain,
                  {name: value.numpy() for name, value in loaded.items()}):  # fmt: skip
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert found[name].shape == array.shape
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    model = ArrayModel({"a": np.arange(3.0)}, {"run": "r"})
    model.save(tmp_path / "m")
    (tmp_path / "new.csv").write_text("person,x\n", encoding="utf-8")
    for asked in (
        [export, str(tmp_path / "m"), "--out", str(tmp_path / "m" / "model.npz")],
        [predict, str(tmp_path / "m"), "--table", str(tmp_path / "new.csv"), "--out", str(tmp_path / "new.csv")],
    ):
        verb, *words = asked
        found = CliRunner().invoke(verb, words)  # type: ignore[arg-type]
        assert "is read, and would be written over; give another --out" in str(found.exception)
    assert ArrayModel.load(tmp_path / "m").digest() == model.digest()


@pytest.mark.parametrize("form", FORMATS)
def test_a_place_that_cannot_be_written_is_an_error_of_the_system(form: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        FORMATS[form](tmp_path / "none" / "m", ArrayModel({"a": np.arange(3.0)}, {}))


def test_a_card_that_is_none_and_a_name_that_acts_on_terminals(tmp_path: Path) -> None:
    ArrayModel({"a": np.arange(3.0)}, [1]).save(tmp_path / "list")  # type: ignore[arg-type]
    with pytest.raises(IntegrityError):
        model_card(tmp_path / "list")
    ArrayModel({"a": np.arange(3.0)}, {"run": "r\x1b[2J"}).save(tmp_path / "acts" / "m")
    for verb, place in ((show, tmp_path / "acts" / "m"), (list_, tmp_path / "acts")):
        done = CliRunner().invoke(verb, [str(place)])
        assert done.exit_code == 0
        assert "r\\x1b[2J" in done.output
        assert "\x1b" not in done.output
