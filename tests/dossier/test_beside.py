"""What a sentence must be read beside: conditions of a bound, attacks behind a rate, whose word, what nothing tells."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from afml.dossier.build import make
from afml.dossier.facts import collect
from afml.dossier.forms.fill import fill_all
from afml.dossier.statements import Statements
from tests.dossier.pack import PHASES, Built
from tests.dossier.read import answers as _answers
from tests.dossier.read import text as _text


@pytest.fixture(scope="module")
def said(good: Path) -> Statements:
    return collect(good)


def test_a_bound_that_rests_on_unknown_draws_says_so_and_what_it_would_be(said: Statements, plain: Built) -> None:
    z = sum(phase.rounds / phase.noise_multiplier**2 for phase in PHASES)
    assert said["privacy.drawn_ple"].value == pytest.approx(math.sqrt(z))
    assert float(str(said["privacy.ple"].value)) < math.sqrt(z)
    forms = {one.form.id: one for one in fill_all(said)}
    for text in (_text(said), *(_answers(one) for name, one in forms.items() if name != "data_sheet")):
        if "does what the theory assumes" in text:
            assert re.search(r"who was drawn into rounds that draw people stays? unknown", text)
            assert "numbers enrolled are published" in text.lower()
    assert sum("stays unknown" in _answers(one) for one in forms.values()) >= 5
    full = make(plain.sources, plain.root / "full", plain.signer) and collect(plain.root / "full")
    assert "privacy.drawn_ple" not in full
    assert "rounds that draw people" not in _text(full).partition("By design: the makers' word")[0]


def test_who_is_not_in_the_sums_is_told_from_the_numbers_enrolled(said: Statements) -> None:
    assert "whether the person's data were in the sums" in _text(said)
    assert "The numbers enrolled are published and not protected" in _text(said)
