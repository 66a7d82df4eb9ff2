"""Releases against earlier ones about the same people."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.core.errors import BudgetError, ReleaseError
from afml.ledger.joint import joint_groups
from afml.ledger.publication import PublicationRecord
from afml.ledger.releases import ReleaseRecord
from tests.ledger.helpers import open_ledger


def release(digest: str = "aa", k: int = 2) -> ReleaseRecord:
    return ReleaseRecord(run="run-1", file_digest=digest * 32, model_digest="bb" * 32, min_group_size=k)


def test_releases_intersect(tmp_path: Path) -> None:
    people = list("abcdefgh")
    halves = {p: "low" if p in "abcd" else "high" for p in people}
    with open_ledger(tmp_path) as ledger:
        ledger.releases.record(release(k=4), halves)
        ledger.releases.record(release("cc", k=4), halves)  # the same partition tells nothing new
        across = {p: "left" if p in "abef" else "right" for p in people}
        with pytest.raises(ReleaseError, match=r"smallest group together with 2 earlier releases .* has 2 people"):
            ledger.releases.record(release("dd", k=3), across)
        index = ledger.releases.record(release("dd", k=4), dict.fromkeys(people, "all"))
        body = list(ledger.entries())[index].body
        assert body["smallest_joint_group"] == 4
        assert body["earlier"] == [0, 1]
        # Somebody who was in no earlier file stands out from those who were.
        with pytest.raises(ReleaseError, match="has 1 people"):
            ledger.releases.record(release("ee", k=2), {**halves, "new": "low"})
        # Other people: nothing to intersect.
        ledger.releases.record(release("ff", k=2), {"x": "p", "y": "p"})


def test_a_release_leaves_withdrawn_people_out(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.withdraw(["a"])
        with pytest.raises(BudgetError, match="withdrawn"):
            ledger.releases.record(release(), {"a": "p", "b": "p"})


def test_a_file_that_shows_somebody_who_withdrew_since_is_not_published(tmp_path: Path) -> None:
    word = PublicationRecord("bb" * 32, "11" * 32, "22" * 32, ("group size",))
    with open_ledger(tmp_path) as ledger:
        ledger.releases.record(release("bb"), {"a": "p", "b": "p"})
        ledger.releases.record(release("cc"), {"c": "p", "d": "p"})
        ledger.withdraw(["c"])
        index = ledger.releases.record_publication(word)
        ledger.withdraw(["a"])
        refused = (
            r"1 of 2 people have withdrawn consent; leave them out .*--without FILE`, and run `afml mask --nested`"
        )
        with pytest.raises(BudgetError, match=refused):
            ledger.releases.record_publication(word)
        assert len(ledger) == index + 2


def test_the_largest_group_size_ever_promised_holds(tmp_path: Path) -> None:
    """A later release cannot promise less about people whom an earlier one promised more."""
    halves = {p: "low" if p in "abcd" else "high" for p in "abcdefgh"}
    across = {p: "left" if p in "abef" else "right" for p in "abcdefgh"}
    with open_ledger(tmp_path) as ledger:
        ledger.releases.record(release(k=4), halves)
        with pytest.raises(ReleaseError, match="has 2 people, below 4, which an earlier release promised some of them"):
            ledger.releases.record(release("cc", k=2), across)
        assert len(ledger) == 1
        # Nothing was promised to others.
        ledger.releases.record(release("dd", k=2), dict.fromkeys("xy", "p"))


def test_a_second_release_without_one_person_isolates_that_person_and_is_refused(tmp_path: Path) -> None:
    """Absence is a pattern, and whoever is absent is counted as well."""
    everybody = [f"person-{i}" for i in range(40)]
    halves = {p: str(i % 2) for i, p in enumerate(everybody)}
    with open_ledger(tmp_path) as ledger:
        ledger.releases.record(release(k=10), halves)
        without = {p: label for p, label in halves.items() if p != "person-7"}
        with pytest.raises(ReleaseError, match="together with 1 earlier releases about the same people has 1 people"):
            ledger.releases.record(release("cc", k=10), without)
        # Without enough people of each pattern, nobody stands alone.
        index = ledger.releases.record(release("dd", k=10), dict(list(halves.items())[:20]))
        assert list(ledger.entries())[index].body["smallest_joint_group"] == 10


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(range(8)), st.sampled_from("pq"), min_size=1), min_size=1, max_size=4),
       st.integers(1, 4))  # fmt: skip
def test_accepted_releases_keep_every_promise_together(files: list[dict[int, str]], k: int) -> None:
    """Against a slow count: after any releases, people whom no file tells apart are as many as any file promised."""
    accepted: dict[int, dict[bytes, int]] = {}
    promises: dict[int, int] = {}
    for number, file in enumerate(files):
        new = {bytes([person]): ord(label) for person, label in file.items()}
        promise = 1 + (k + number) % 4
        joint = joint_groups(new, promise, accepted, promises)
        kept = {**accepted, number: new}
        promised = {**promises, number: promise}
        people = set().union(*kept.values())
        good = all(
            sum(all(kept[f].get(p) == kept[f].get(other) for f in kept) for other in people)
            >= max(promised[f] for f in kept if p in kept[f])
            for p in people
        )
        assert good == (joint.smallest >= joint.promised)
        if good:
            accepted, promises = kept, promised
