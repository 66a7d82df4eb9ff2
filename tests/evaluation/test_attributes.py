"""What records tell of attributes: beside slow references, and from end to end."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.evaluation.attributes import Known, by_pattern, by_regression, tells
from afml.evaluation.details import Details
from afml.evaluation.page import PageDetails, write_html
from afml.evaluation.report import AttributeRow, FrontierPoint, Report, read_json, write_json
from afml.evaluation.terminal import attribute_line
from tests.evaluation.example import DETAILS
from tests.simulated import simulate_dosage

CLASSES = ("a", "b", "c")


@given(st.integers(0, 10_000))
def test_the_commonest_class_of_a_pattern(seed: int) -> None:
    rng = np.random.default_rng(seed)
    records = rng.integers(0, 2, (30, 2)).astype(np.int8)
    truth = rng.integers(0, 3, 30)
    learn = rng.random(30) < 0.5
    learn[0] = True
    named = by_pattern(records, truth)(learn)
    everybody = Counter(truth[learn].tolist())
    for row, guess in zip(records, named, strict=True):
        same = Counter(truth[learn & (records == row).all(axis=1)].tolist())
        best = max(same.values(), default=0)
        usual = max(everybody[one] for one in everybody if same[one] == best)
        assert same[int(guess)] == best
        assert everybody[int(guess)] == usual  # ties, and patterns nobody shows: what is commonest altogether


def test_a_release_that_tells_a_class_and_one_that_tells_nothing() -> None:
    rng = np.random.default_rng(1)
    dosage = simulate_dosage(600, 40, 3)
    truth = dosage[:, 5].astype(np.int64)  # who carries how many of one allele
    training = rng.random(600) < 0.7
    shown = np.full_like(dosage, -1)
    shown[:, 5] = dosage[:, 5]
    known = Known("band", CLASSES, truth, allowed=True)
    full = tells(known, training, shown, dosage)
    assert (full.accuracy, full.people, full.allowed) == (1.0, int((~training).sum()), True)
    assert full.accuracy_ci95[0] > 0.97
    none = tells(known, training, np.full_like(dosage, -1), dosage)
    commonest = np.bincount(truth[training]).argmax()
    assert none.accuracy == none.base_rate == float((truth[~training] == commonest).mean())
    assert none.advantage == 0.0
    assert full.raw_accuracy == none.raw_accuracy > none.base_rate


def test_the_table_beside_a_release_is_what_is_learned_from_where_recipients_do() -> None:
    """Patterns on all sites are all different here, so only their scores say anything of others."""
    rng = np.random.default_rng(2)
    dosage = simulate_dosage(400, 60, 4)
    score = rng.normal(size=400)
    found = tells(
        Known("band", ("low", "high"), (score > 0).astype(np.int64)), rng.random(400) < 0.7, dosage, dosage,
        told=lambda _: score[:, None],
    )  # fmt: skip
    assert found.accuracy > 0.9 > found.raw_accuracy


def test_people_of_unknown_class_are_left_out() -> None:
    rng = np.random.default_rng(3)
    dosage = simulate_dosage(300, 30, 5)
    truth, training = dosage[:, 2].astype(np.int64), rng.random(300) < 0.6
    unknown = np.where(rng.random(300) < 0.3, -1, truth)
    there = unknown >= 0
    known = Known("band", CLASSES, unknown)
    assert tells(known, training, dosage, dosage) == tells(known.of(np.flatnonzero(there)), training[there],
                                                           dosage[there], dosage[there])  # fmt: skip


def test_what_cannot_be_asked_is_refused() -> None:
    dosage, training = simulate_dosage(40, 10, 6), np.arange(40) < 30
    with pytest.raises(InputError, match="is of class 3 of 'band'; name all classes"):
        tells(Known("band", CLASSES, np.arange(40) % 4), training, dosage, dosage)
    for truth, train in ((np.zeros(40, np.int64), training), (np.arange(40) % 3, np.ones(40, np.bool_))):
        assert not Known("band", CLASSES, truth).askable(train)
        with pytest.raises(InputError, match="one class of 'band' alone are known, or nobody is held out"):
            tells(Known("band", CLASSES, truth), train, dosage, dosage)


def test_a_class_that_one_training_person_has() -> None:
    dosage = simulate_dosage(80, 10, 7)
    truth, training = np.zeros(80, np.int64), np.arange(80) < 60
    truth[[3, 70]] = 1
    found = tells(Known("rare", ("no", "yes"), truth), training, dosage, dosage)
    assert found.base_rate == 0.95
    assert by_regression(np.zeros((80, 0)), truth, 0.1)(training).tolist() == [0] * 80


def test_the_report_lists_them_and_says_which_were_declared(report: Report, tmp_path: Path) -> None:
    rows = tuple(
        AttributeRow(
            name=name,
            classes=classes,
            allowed=allowed,
            people=500,
            base_rate=0.3,
            accuracy=accuracy,
            accuracy_ci95=(0.25, 0.95),
            raw_accuracy=0.96,
        )
        for name, classes, allowed, accuracy in (("super_pop", CLASSES, True, 0.9), ("sex", ("f", "m"), False, 0.31))
    )
    told = report.model_copy(update={"attributes": rows})
    write_json(told, tmp_path / "report.json")
    assert read_json(tmp_path / "report.json") == told
    write_json(report, tmp_path / "plain.json")
    assert "attributes" not in (tmp_path / "plain.json").read_text()
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    page = PageDetails("cells", "missing", (point,), Details.model_validate(DETAILS))
    write_html(told, page, tmp_path / "r.html")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (tmp_path / "r.html").read_text()))
    assert "super_pop (3 classes) yes 90.0 % (25.0 % to 95.0 %) 96.0 % 30.0 % +60.0" in text
    assert "sex (2 classes) no 31.0 % (25.0 % to 95.0 %) 96.0 % 30.0 % +1.0" in text
    assert "it may tell super_pop . It shows" in text or "it may tell super_pop. It shows" in text
    assert "relatedness, imputation" in text  # ancestry is not warned of where it may be told
    assert attribute_line(rows[1]) == (
        "undeclared: sex",
        "right for 31.0 % of held-out people, raw 96.0 %, by guessing the commonest 30.0 %",
    )
