from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import ConfigError, InputError
from afml.data.holdout import HoldoutDraw
from afml.genomics.drawn import draw_people
from afml.study.data import DataSettings, StudyData, exomes, file_digest, held_out, load
from afml.study.genomes import simulate_dosage
from afml.study.settings import RunSettings


def test_simulated_people_have_structure_and_linkage() -> None:
    dosage = simulate_dosage(400, 120, 3)
    np.testing.assert_array_equal(dosage, simulate_dosage(400, 120, 3))
    assert (dosage != simulate_dosage(400, 120, 4)).any()
    assert dosage.min() == 0
    assert dosage.max() == 2
    assert (dosage.min(axis=0) < dosage.max(axis=0)).all()
    assert dosage.mean(axis=0).max() <= 1
    correlation = np.corrcoef(dosage.T)
    near = np.abs(np.diagonal(correlation, 1)).mean()
    far = np.abs(np.diagonal(correlation, 60)).mean()
    assert near > 1.2 * far
    assert far > 0.02  # populations


def test_who_is_held_out_is_what_prepare_decides() -> None:
    names = [f"HG{n:05d}" for n in range(500)]
    mine = held_out(names, 0.25, 9)
    theirs = ~HoldoutDraw(0.25, 9).enrolled(b"holdout 9", names)
    np.testing.assert_array_equal(mine, theirs)
    assert 0.18 < mine.mean() < 0.32


def test_people_are_split_and_joined(people: StudyData) -> None:
    assert people.people == 240
    assert [len(file) for file in people.files] == [80, 80, 80]
    values = np.arange(240, dtype=np.int8)
    np.testing.assert_array_equal(np.concatenate(people.by_file(values)), values)


def test_a_drawn_panel_is_the_consortiums_and_not_the_attackers(settings: RunSettings, people: StudyData) -> None:
    wanted = settings.data.model_copy(update={"panel": "frequencies", "panel_used": 50})
    drawn = load(wanted, source=None, cache=Path("unused"))
    assert drawn.panel.drawn_people == 50
    np.testing.assert_array_equal(drawn.panel_dosage, draw_people(drawn.panel))
    np.testing.assert_array_equal(drawn.known, people.panel_dosage[:50])
    np.testing.assert_array_equal(drawn.panel.maf, people.panel.maf)
    for mine, theirs in zip(drawn.files, people.files, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert people.known is people.panel_dosage
    assert settings.run_config(drawn).data.fingerprint != settings.run_config(people).data.fingerprint


def test_settings_of_panels_of_people_keep_their_digest(settings: RunSettings) -> None:
    """The field is written only where it says something: stored results of earlier settings still stand."""
    assert b'"panel":' not in settings.data.canonical()
    frequencies = settings.data.model_copy(update={"panel": "frequencies"})
    assert b'"panel":"frequencies"' in frequencies.canonical()
    assert DataSettings.model_validate_json(frequencies.canonical()) == frequencies


def test_run_configuration(settings: RunSettings, people: StudyData) -> None:
    config = settings.run_config(people)
    assert config.enrolled == {n: int(rows.sum()) for n, rows in enumerate(people.enrolled, start=1)}
    assert config.quorum == 3
    assert config.seed == settings.training_seed
    with pytest.raises(ConfigError, match="quorum"):
        settings.model_copy(update={"quorum": 7}).run_config(people)


def test_the_digest_follows_every_setting(settings: RunSettings) -> None:
    changed = (
        settings.model_copy(update={"phenotype_seed": 1002}),
        settings.model_copy(update={"game": settings.game.model_copy(update={"steps": 4})}),
        settings.model_copy(update={"data": settings.data.model_copy(update={"split_seed": 2})}),
    )
    assert len({one.digest() for one in (settings, *changed)}) == 4
    again = RunSettings.model_validate_json(settings.model_dump_json())
    assert again.digest() == settings.digest()


def test_absent_data_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="DATA"):
        exomes(tmp_path)
    with pytest.raises(InputError, match="--data"):
        load(DataSettings(kind="vcf", sites=8), source=None, cache=tmp_path)


@pytest.mark.real_data
def test_real_exomes_are_read_once(real_data: Path, tmp_path: Path) -> None:
    settings = DataSettings(kind="vcf", source=file_digest(exomes(real_data)[0]), sites=64, panel_used=100)
    told: list[str] = []
    first = load(settings, source=real_data, cache=tmp_path, note=told.append)
    again = load(settings, source=real_data, cache=tmp_path, note=told.append)
    assert len(told) == 2
    assert first.people == 2003
    assert first.panel_dosage.shape == (100, 64)
    for a, b in zip(first.files, again.files, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.panel.digest() == again.panel.digest()
    wrong = settings.model_copy(update={"source": "0" * 64})
    with pytest.raises(InputError, match="not the file"):
        load(wrong, source=real_data, cache=tmp_path)
