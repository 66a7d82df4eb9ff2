"""Files attacked again: what is asked, and what relatives name, against a slow count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.evaluation import again
from afml.evaluation.attacks.base import Case, Int8, Knowledge
from afml.evaluation.attacks.likelihood import RecordLikelihood
from afml.evaluation.inputs import Records
from afml.evaluation.kin import named_by_kin
from afml.evaluation.masks import static_mask
from afml.evaluation.reassess import Kin, OlderFile, Reassessed, ReleasedFile, reassess
from afml.evaluation.reassess_lines import reassessed_lines
from tests.simulated import simulate_dosage

PEOPLE, SITES = 90, 24
SHOWN = np.arange(2)


def child_of(parents: Int8, frequency: np.ndarray, rng: np.random.Generator) -> Int8:
    own = np.where(parents == 1, rng.integers(2, size=parents.shape), parents // 2)
    return (own + (rng.random(parents.shape) < frequency)).astype(np.int8)


@pytest.fixture(scope="module")
def file() -> ReleasedFile:
    """Two sites of everybody; in the order of the file, one person is not at hand any more."""
    dosage = simulate_dosage(PEOPLE + 120, SITES, 5)
    own, panel = dosage[:PEOPLE], dosage[PEOPLE : PEOPLE + 60]
    mask = static_mask(SHOWN, -1)
    order = np.random.default_rng(1).permutation(PEOPLE)
    truth = np.where(order == 7, -1, order)
    return ReleasedFile(mask(own)[order], truth, own, panel, dosage[PEOPLE + 60 :], mask, "missing", trained=False)


@pytest.fixture(scope="module")
def found(file: ReleasedFile) -> Reassessed:
    rng = np.random.default_rng(2)
    rows = np.array([3, 4, 5, 6])
    children = child_of(file.dosage[file.truth[rows]], file.panel.mean(axis=0) / 2, rng)
    other = static_mask(np.arange(2, 4), -1)
    both = np.arange(10, 70)
    older = OlderFile("before", both, other(file.dosage[np.maximum(file.truth[both], 0)]), other)
    return reassess(replace(file, kin=Kin(children, rows, np.array([1, 1, 2, 1])), others=(older,)))


def test_a_file_is_attacked_with_what_was_public_then_and_with_what_is_now(found: Reassessed) -> None:
    assert (found.records, found.attacked, found.candidates) == (PEOPLE, PEOPLE - 1, PEOPLE)
    assert found.now is not None
    assert (found.then.public_people, found.now.public_people) == (60, 120)
    for threat in (found.then, found.now):
        assert threat.rr == max(threat.by_attack.values())
        assert 1 / PEOPLE <= threat.rr <= found.patterns.patterns / found.attacked + 1e-9
    assert found.worst.rr == max(found.then.rr, found.now.rr)
    assert [(one.degree, one.relatives) for one in found.kin] == [(1, 3), (2, 1)]
    assert all(one.named <= 1 / found.patterns.smallest_group for one in found.kin)
    assert found.others[0].rr > found.worst.rr
    lines = dict(reassessed_lines(found))
    assert lines["attacked"].startswith(f"{PEOPLE - 1} of {PEOPLE} records, {PEOPLE} candidates")
    assert "together with run before" in lines
    assert "named by 3 relatives, degree 1" in lines


def test_joint_groups_are_counted_once_and_of_everybody_in_both_files(
    file: ReleasedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    numbered = again._numbered

    def counting(files: Sequence[Records]) -> list[np.ndarray]:
        counted.append(sum(map(len, files)))
        return numbered(files)

    monkeypatch.setattr(again, "_numbered", counting)
    other, both = static_mask(np.arange(2, 4), -1), np.arange(10, 70)
    older = OlderFile("before", both, other(file.dosage[np.maximum(file.truth[both], 0)]), other)
    # One person who is in both is not at hand: not attacked, and counted.
    truth = file.truth.copy()
    truth[both[0]] = -1
    found = reassess(replace(file, since=file.since[:0], truth=truth, others=(older,))).others[0]
    assert counted == [60, 60]
    pairs = np.concatenate([file.released[both], older.released], axis=1)
    _, groups = np.unique(pairs, axis=0, return_counts=True)
    assert (found.patterns, found.smallest_group) == (len(groups), groups.min())


def test_nobody_new_is_nothing_new(file: ReleasedFile) -> None:
    found = reassess(replace(file, since=file.since[:0]))
    assert found.now is None
    assert found.worst is found.then
    assert (found.kin, found.others) == ((), ())


def test_files_that_cannot_be_attacked_are_refused(file: ReleasedFile) -> None:
    with pytest.raises(InputError, match="nobody of the released file is at hand"):
        reassess(replace(file, truth=np.full(PEOPLE, -1)))
    with pytest.raises(InputError, match="do not share their sites"):
        reassess(replace(file, since=file.since[:, 1:]))


@pytest.mark.parametrize("degree", [1, 2])
def test_relatives_name_the_pattern_that_is_likeliest_beside_a_stranger(file: ReleasedFile, degree: int) -> None:
    """Slowly, record by record."""
    knowledge = Knowledge(file.panel, file.mask, "missing")
    rows = np.arange(12)
    kin = child_of(file.dosage[np.maximum(file.truth[rows], 0)], file.panel.mean(axis=0) / 2, np.random.default_rng(3))
    found = named_by_kin(file.released, kin, rows, degree, knowledge)
    related = replace(knowledge, shared=2.0 ** (1 - degree))
    nobody = np.full(PEOPLE, -1, dtype=np.int64)
    scores = np.empty((PEOPLE, len(kin)))
    for record in range(PEOPLE):
        one = Case(file.released[record : record + 1], kin, nobody[:1], related)
        stranger = sum(
            np.log(knowledge.frequencies[s] @ knowledge.channel[s, :, file.released[record, s] + 1])
            for s in range(SITES)
        )
        scores[record] = RecordLikelihood(one).block(slice(0, len(kin)))[0] - stranger
    best = np.isclose(scores, scores.max(axis=0), atol=1e-3)
    named = [best[row, at] / best[:, at].sum() for at, row in enumerate(rows)]
    assert found.named == pytest.approx(float(np.mean(named)))
    alike = [
        best[row, at] / len({file.released[other].tobytes() for other in np.flatnonzero(best[:, at])})
        for at, row in enumerate(rows)
    ]
    assert found.group == pytest.approx(float(np.mean(alike)))


def test_a_child_names_an_unmasked_parent() -> None:
    dosage = simulate_dosage(200, 120, 9)
    own, panel = dosage[:100], dosage[100:]
    kin = child_of(own[:30], panel.mean(axis=0) / 2, np.random.default_rng(4))
    found = named_by_kin(own, kin, np.arange(30), 1, Knowledge(panel, lambda d: d, "missing"))
    assert found.named > 0.5
    assert found.chance == 0.01
