"""What lies in a package beside the records: versions, traits in bins, the codebook read, the utility it states."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from afml.core.errors import ConfigError, InputError, ReleaseError
from afml.data.columns import Trait
from afml.data.people import PersonColumns
from afml.masking.settings import RiskSettings
from afml.release.choices import Choices
from afml.release.grouping import Blocks, beside, nested
from afml.release.package.book import Book
from afml.release.package.stated import stated
from afml.release.package.traits import TraitsOfPeople, released_traits, told_for_certain
from afml.release.versions import PLAN_FILE, Versions

HEIGHT = Trait(name="body height", kind="quantitative", centre=170, spread=10)
RISK = RiskSettings(traits=(Trait(name="gout"), HEIGHT))
WHERE = Path("people.tsv")


def test_versions_are_counted_and_the_place_of_one_release_is_the_first(tmp_path: Path) -> None:
    kept = Versions(tmp_path / "releases", tmp_path / "columns", "run")
    assert (kept.all(), kept.newest().number, kept.next().number) == ((), 1, 1)
    for number in (2, 10, 1):
        (tmp_path / "releases" / "run" / str(number)).mkdir(parents=True)
    (tmp_path / "releases" / "run" / ".11.staged").mkdir()
    assert [one.number for one in kept.all()] == [1, 2, 10]
    assert kept.newest().folder == tmp_path / "releases" / "run" / "10"
    assert kept.next().columns == tmp_path / "columns" / "run" / "11.json"
    old = Versions(tmp_path / "releases", tmp_path / "columns", "old")
    (tmp_path / "releases" / "old").mkdir()
    (tmp_path / "releases" / "old" / PLAN_FILE).touch()
    assert old.newest().folder == tmp_path / "releases" / "old"
    assert old.newest().columns == tmp_path / "columns" / "old.json"
    assert old.next().folder == tmp_path / "releases" / "old" / "2"


def test_a_number_is_told_by_its_bin_and_no_value_of_anybody_is() -> None:
    gout, height = released_traits(("gout", "body height=160,175"), RISK)
    values = np.array([[0, 159.9], [1, 160], [0, 174.99], [1, 181.234]])
    people = TraitsOfPeople.of((gout, height), PersonColumns(("gout", "body height"), values), WHERE)
    assert people.table(list("abcd")) == ("#IID\tgout\tbody_height\na\t0\t155\nb\t1\t167.5\nc\t0\t167.5\nd\t1\t180\n")
    assert people.alike().tolist() == [0, 2, 1, 3]
    (usual,) = released_traits(("body height",), RISK)
    assert usual.edges == pytest.approx((165.7, 174.3))
    drawn = 170 + 10 * np.random.default_rng(1).normal(size=30_000)
    share = np.bincount(usual.classes(PersonColumns(("body height",), drawn[:, None]), WHERE)) / len(drawn)
    assert share == pytest.approx([1 / 3] * 3, abs=0.01)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("weight",), "declares no trait 'weight'; its traits are: gout, body height"),
        (("gout=1",), "'gout' is binary and has no bins"),
        (("body height=175,160",), "'175,160' are no edges of bins"),
        (("body height=nan",), "'nan' are no edges of bins"),
        (("gout", "gout"), "'gout' is asked for twice"),
    ],
)
def test_what_is_no_trait_to_release_is_refused_in_one_line(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        released_traits(words, RISK)
    assert "\n" not in str(told.value)


def test_traits_whose_columns_would_have_one_name_are_refused() -> None:
    risk = RiskSettings(traits=(Trait(name="a b"), Trait(name="a_b")))
    with pytest.raises(ConfigError, match="called 'a_b' too"):
        released_traits(("a b",), risk)


def test_a_person_without_a_value_is_refused_and_no_value_is_shown() -> None:
    (gout,) = released_traits(("gout",), RISK)
    for value, said in ((np.nan, "holds no number for 1 of 2"), (7.25, "neither 0 nor 1 for 1 of 2")):
        with pytest.raises(InputError, match=said) as told:
            TraitsOfPeople.of((gout,), PersonColumns(("gout",), np.array([[0.0], [value]])), WHERE)
        assert "7.25" not in str(told.value)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=40))
def test_who_is_given_away_is_who_shows_what_one_class_alone_shows(people: list[tuple[int, int]]) -> None:
    slow = [len({told for shown, told in people if shown == mine}) == 1 for mine, _ in people]
    patterns, classes = np.array(people).T
    assert told_for_certain(patterns, classes) == pytest.approx(np.mean(slow))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 4))
def test_groups_are_of_people_who_share_traits_too_and_patterns_do_not_follow_traits(
    seed: int, k: int, kinds: int
) -> None:
    rng = np.random.default_rng(seed)
    contained = np.hstack([np.ones((60, 1), bool), rng.random((60, 5)) < 0.4])
    choices = Choices(rng.normal(size=(60, 1)), np.packbits(contained, axis=1), rng.normal(size=(6, 1)))
    alike = rng.integers(0, kinds, size=60)
    if min(Counter(alike.tolist()).values()) < k:
        with pytest.raises(ReleaseError, match="combinations of what else is told"):
            beside(choices, alike, np.full(60, k))
        return
    assigned = beside(choices, alike, np.full(60, k))
    assert contained[np.arange(60), assigned].all()
    assert min(Counter(zip(assigned.tolist(), alike.tolist(), strict=True)).values()) >= k
    # Whoever may take the same patterns and scores the same takes the same one, whatever is told of the person.
    used = sorted(set(assigned.tolist()))
    distance = np.where(contained, (choices.points - choices.centroids.T) ** 2, np.inf)
    assert np.array_equal(np.array(used)[distance[:, used].argmin(axis=1)], assigned)


def test_beside_traits_the_groups_of_earlier_releases_are_kept_block_by_block() -> None:
    rng = np.random.default_rng(4)
    choices = Choices(rng.normal(size=(900, 1)), None, np.linspace(-1, 1, 5)[:, None])
    block, alike = np.repeat([0, 1, -1], 300), np.arange(900) % 2
    assigned = nested(choices, Blocks(block, [3, 20], alike))
    assert (assigned[block < 0] == -1).all()
    for number, least in ((0, 3), (1, 20)):
        inside = block == number
        pairs = Counter(zip(assigned[inside].tolist(), alike[inside].tolist(), strict=True))
        assert min(pairs.values()) >= least
    assert len(set(assigned[:600].tolist())) > 1
    with pytest.raises(ReleaseError, match=r"2 of 4 combinations .* are of fewer than 151"):
        nested(choices, Blocks(block, [3, 151], alike))


def test_the_codebook_is_read_as_it_is_written() -> None:
    book = Book.parsed(
        "pattern\tshows\tscore_a b\tsd_a b\tscore_c\tsd_c\n0\t\t-0.5\t1\t2\t0.1\n1\tx=1;y=2\t1.5\t2\t3\t0\n"
    )
    assert (book.shows, book.names) == (("", "x=1;y=2"), ("a b", "c"))
    assert book.deviation.tolist() == [[1, 0.1], [2, 0]]
    assert book.scores(["c"], np.array([1, 0, 1])).tolist() == [[3], [2], [3]]
    assert book.table(["P1", "P2"], np.array([1, 0])) == (
        "#IID\tpattern\tscore_a_b\tscore_c\nP1\t1\t1.5\t3\nP2\t0\t-0.5\t2\n"
    )


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_what_is_stated_is_what_a_regression_on_every_other_record_finds(direction: float) -> None:
    rng = np.random.default_rng(2)
    score = np.round(rng.normal(size=(400, 2)), 1)
    gout = (direction * score[:, 0] + rng.normal(size=400) > 0).astype(float)
    height = 170 + 10 * (direction * score[:, 1] + rng.normal(size=400))
    traits = released_traits(("gout", "body height"), RISK)
    people = TraitsOfPeople.of(traits, PersonColumns(("gout", "body height"), np.stack([gout, height], 1)), WHERE)
    binary, number = stated(people, score)
    model = LogisticRegression().fit(score[::2, :1], gout[::2])
    assert binary.value == pytest.approx(roc_auc_score(gout[1::2], model.decision_function(score[1::2, :1])), abs=1e-4)
    assert (binary.measure, binary.tested_on) == ("auc", 200)
    told = people.told()[:, 1]
    assert number.value == pytest.approx(np.corrcoef(told[1::2], score[1::2, 1])[0, 1] ** 2, abs=1e-4)
    for one in (binary, number):
        assert one.ci95 is not None
        assert one.value is not None
        assert one.ci95[0] < one.value < one.ci95[1] < one.ci95[0] + 0.3


def test_nothing_is_stated_of_too_few() -> None:
    traits = released_traits(("gout",), RISK)
    people = TraitsOfPeople.of(traits, PersonColumns(("gout",), np.eye(20)[:, 1:2]), WHERE)
    (only,) = stated(people, np.arange(20.0)[:, None])
    assert (only.value, only.ci95) == (None, None)


def test_an_interval_of_an_auc_holds_the_truth_as_often_as_it_says() -> None:
    """600 packages of 120 records: a 95 % interval misses 30 times, give or take four standard errors.

    Score and liability are normal, and half of the liability's variance is the score's: the AUC is 5/6.
    """
    rng = np.random.default_rng(7)
    traits, missed = released_traits(("gout",), RISK), 0
    for _ in range(600):
        score = rng.normal(size=(120, 1))
        gout = score[:, :1] + rng.normal(size=(120, 1)) > 0
        (one,) = stated(TraitsOfPeople(traits, gout.astype(np.int64)), score)
        assert one.ci95 is not None
        missed += not one.ci95[0] <= 5 / 6 <= one.ci95[1]
    assert 9 <= missed <= 51
