"""Releases nested in earlier ones: whatever was released before, joint groups stay as large as was promised."""

from __future__ import annotations

import hmac
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.core.errors import InputError, ReleaseError
from afml.ledger.export import to_html
from afml.ledger.joint import Nesting, joint_groups, nested_in, standing
from afml.ledger.people import KEY_FILE, load_key
from afml.ledger.publication import PublicationRecord
from afml.ledger.reassessment import Reassessment, verdict
from afml.ledger.releases import ReleaseRecord
from afml.ledger.summary import summarise
from afml.ledger.verify import verify
from tests.ledger.case import Case, codes
from tests.ledger.helpers import PUBLIC, Clock, open_ledger

#: Who is there, k, and a wish for each of them, of every release.
RELEASES = st.lists(
    st.tuples(
        st.sets(st.integers(0, 23), min_size=1),
        st.integers(1, 6),
        st.lists(st.integers(0, 3), min_size=24, max_size=24),
    ),
    min_size=1,
    max_size=5,
)


def released(people: list[bytes], nesting: Nesting, wishes: list[int]) -> dict[bytes, int]:
    """Everybody takes the pattern wished for, or the first one where too few of the block do; 0 is for who is left."""
    taken: dict[bytes, int] = {}
    for block, least in enumerate(nesting.least):
        members = [person for person, own in zip(people, nesting.block, strict=True) if own == block]
        wanted = {person: wishes[person[0]] for person in members}
        while small := [w for w, n in Counter(wanted.values()).items() if n < least]:
            if small == [0]:  # nobody takes the first pattern but these: the largest group joins them
                small = [Counter(wanted.values()).most_common(1)[0][0]]
            wanted = {person: 0 if wish in small else wish for person, wish in wanted.items()}
        taken |= wanted
    return taken


def promise_kept(files: dict[int, dict[bytes, int]], promises: dict[int, int]) -> bool:
    """Slowly: for everybody, those whom no file tells apart are as many as any file promised."""
    people = set().union(*files.values())
    return all(
        sum(all(file.get(p) == file.get(other) for file in files.values()) for other in people)
        >= max(promises[number] for number, file in files.items() if p in file)
        for p in people
    )


@settings(max_examples=80, deadline=None)
@given(RELEASES)
def test_over_any_sequence_of_nested_releases_joint_groups_stay_as_large_as_was_promised(
    releases: list[tuple[set[int], int, list[int]]],
) -> None:
    files: dict[int, dict[bytes, int]] = {}
    promises: dict[int, int] = {}
    for number, (there, k, wishes) in enumerate(releases):
        people = [bytes([one]) for one in sorted(there)]
        nesting = nested_in(people, k, files, promises)
        assert all(least >= k for least in nesting.least)
        new = released(people, nesting, wishes)
        if not new:
            continue
        joint = joint_groups(new, k, files, promises)
        assert joint.smallest >= joint.promised
        files, promises = {**files, number: new}, {**promises, number: k}
        assert promise_kept(files, promises)
        now = standing(number, files, promises)
        assert (now.smallest, now.promised) == (joint.smallest, joint.promised)


@settings(max_examples=50, deadline=None)
@given(RELEASES)
def test_nobody_is_left_out_without_need(releases: list[tuple[set[int], int, list[int]]]) -> None:
    """One more person of those who are left out, released with the block's pattern, would break a promise."""
    files: dict[int, dict[bytes, int]] = {}
    promises: dict[int, int] = {}
    for number, (there, k, wishes) in enumerate(releases):
        people = [bytes([one]) for one in sorted(there)]
        nesting = nested_in(people, k, files, promises)
        together = {p: 0 for p, block in zip(people, nesting.block, strict=True) if block >= 0}
        for person in (p for p, block in zip(people, nesting.block, strict=True) if block < 0):
            joint = joint_groups({**together, person: 0}, k, files, promises)
            assert joint.smallest < joint.promised
        new = released(people, nesting, wishes)
        if new:
            files, promises = {**files, number: new}, {**promises, number: k}


def record(digest: str, k: int) -> ReleaseRecord:
    return ReleaseRecord(run="run-1", file_digest=digest * 32, model_digest="bb" * 32, min_group_size=k)


def test_a_second_release_after_a_withdrawal_leaves_as_many_out_as_hide_it(tmp_path: Path) -> None:
    everybody = [f"person-{i}" for i in range(40)]
    halves = {p: "low" if i < 20 else "high" for i, p in enumerate(everybody)}
    with open_ledger(tmp_path) as ledger:
        ledger.releases.record(record("aa", 5), halves)
        ledger.withdraw(["person-3"])
        rest = [p for p in everybody if p != "person-3"]
        with pytest.raises(ReleaseError, match=r"has 1 people.*`afml mask --nested`"):
            ledger.releases.record(record("cc", 5), {p: halves[p] for p in rest})
        nesting = ledger.releases.nesting(rest, 5)
        out = [p for p, block in zip(rest, nesting.block, strict=True) if block < 0]
        assert len(out) == 4
        assert set(out) <= set(everybody[:20])
        assert nesting == ledger.releases.nesting(rest, 5)
        assert nesting.least == (5, 5)
        shown = {p: str(i % 2) for p, i in zip(rest, range(len(rest)), strict=True) if p not in out}
        index = ledger.releases.record(record("dd", 5), shown)
        assert list(ledger.entries())[index].body["smallest_joint_group"] == 5
        # A larger k than earlier groups have room for: these people stay out of it.
        assert ledger.releases.nesting(rest, 11).least == ()
    assert verify(tmp_path, key=PUBLIC).ok


def test_newcomers_are_a_group_of_their_own(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.releases.record(record("aa", 3), dict.fromkeys("abcdef", "p"))
        assert ledger.releases.nesting("abcdefxyz", 3).block == (0,) * 6 + (1,) * 3
        assert ledger.releases.nesting("abcdefxy", 3).block == (0,) * 6 + (-1,) * 2


def reassessed(release: int, **changes: object) -> Reassessment:
    fields = {"public_people": 9, "relatives": 0, "attacks": ("likelihood",), "rr": 0.25, "attacked": 4}
    return Reassessment(release, **{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A release of two groups of two, attacked again; somebody with the node's key can rewrite it."""
    with open_ledger(tmp_path) as ledger:
        shown = {p: "l" if p in "ab" else "r" for p in "abcd"}
        index = ledger.releases.record(record("aa", 2), shown)
        assert ledger.releases.standing("aa" * 32, shown).groups == (2, 2, [])
        with pytest.raises(InputError, match="the table of whose record is which is not that of the release"):
            ledger.releases.standing("aa" * 32, {**shown, "a": "r", "c": "l"})
        assert ledger.releases.record_reassessment(reassessed(index)) == []
    assert verify(tmp_path, key=PUBLIC).ok
    return Case(tmp_path, tmp_path, [], [], Clock())


@pytest.mark.parametrize(
    ("entry", "changes", "code"),
    [
        (0, {"smallest_joint_group": 3}, "wrong-joint-group"),
        (0, {"min_group_size": 3}, "small-joint-group"),
        (1, {"smallest_joint_group": 3}, "wrong-reassessment"),
        (1, {"promised": 1}, "wrong-reassessment"),
        (1, {"rr_bound": 0.25}, "wrong-reassessment"),
        (1, {"attacked": 5}, "wrong-reassessment"),
        (1, {"rr": 0.75}, "wrong-reassessment"),
        (1, {"target_rr": 0.1}, "wrong-reassessment"),
        (1, {"broken": ["joint groups"]}, "wrong-reassessment"),
        (1, {"broken": None}, "wrong-reassessment"),
        (1, {"release": 7}, "wrong-reassessment"),
        (1, {"release": "0"}, "wrong-reassessment"),
        (1, {"run": "run-2"}, "edited-row"),
    ],
)
def test_what_a_ledger_tells_wrongly_of_releases_is_found(
    case: Case, entry: int, changes: dict[str, object], code: str
) -> None:
    case.rewrite(entry, **changes)
    assert code in codes(verify(case.folder, key=PUBLIC))


def published(release: str = "aa", **changes: object) -> PublicationRecord:
    fields = {"manifest": "bb" * 32, "assessment": "cc" * 32, "met": ("group size",), "missed": ("utility ratio",)}
    return PublicationRecord(release * 32, **{**fields, **changes})  # type: ignore[arg-type]


def test_a_publication_is_of_a_release_and_entered_once(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        index = ledger.releases.record(record("aa", 1), {"a": "l", "b": "r"})
        with pytest.raises(InputError, match="knows no released file with digest dddddddddddd"):
            ledger.releases.record_publication(published("dd"))
        first = ledger.releases.record_publication(published())
        assert ledger.releases.record_publication(published()) == first
        assert ledger.releases.record_publication(published(missed=())) == first + 1
        (body, _) = [entry.body for entry in ledger.entries() if entry.kind == "publication"]
        assert body["release"] == index
    assert verify(tmp_path, key=PUBLIC).ok
    line = f"release #{index} published: group size met; MISSED, and published nevertheless: utility ratio"
    assert summarise(tmp_path).lines("publication")[0].endswith(line)
    assert line in to_html(summarise(tmp_path), verify(tmp_path, key=PUBLIC))


@pytest.mark.parametrize(
    "changes",
    [
        {"release": 1}, {"release": "0"}, {"release": None}, {"run": "run-2"}, {"insecure": True},
        {"met": ["utility ratio"]}, {"met": "group size"}, {"missed": None},
    ],
)  # fmt: skip
def test_what_a_publication_tells_wrongly_is_found(tmp_path: Path, changes: dict[str, object]) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.releases.record(record("aa", 1), {"a": "l", "b": "r"})
        ledger.releases.record_publication(published())
    case = Case(tmp_path, tmp_path, [], [], Clock())
    case.rewrite(1, **changes)
    assert "wrong-publication" in codes(verify(case.folder, key=PUBLIC))


def test_a_release_of_nobody_is_a_finding(case: Case) -> None:
    """Whoever has the node's keys can sign one whose every figure is right, and a reassessment of it."""
    key = load_key(case.folder, create=False)
    made = {what: hmac.digest(key, f"{of}\0".encode(), "sha256").hex()
            for what, of in (("assignment", "released"), ("enrolment", "enrolment"))}  # fmt: skip
    case.edit("DELETE FROM released")
    case.rewrite(0, people=0, patterns=0, **made)
    found = verify(case.folder, key=PUBLIC)
    assert codes(found) == {"edited-release"}
    assert [one.where for one in found.findings] == ["entry 0"]
    (case.folder / KEY_FILE).unlink()  # an auditor does not have it
    assert codes(verify(case.folder, key=PUBLIC)) == {"edited-release"}


def test_a_rate_that_was_asked_for_is_no_promise(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        index = ledger.releases.record(record("aa", 2), dict.fromkeys("abcd", "p"))
        for target in (None, 0.5, 0.1):
            ledger.releases.record_reassessment(reassessed(index, target_rr=target))
    _, plain, met, missed = summarise(tmp_path).lines("release", "reassessment")
    assert plain.endswith("; promises all kept")
    assert met.endswith("; promises all kept; asked: target RR 50 %, met")
    assert missed.endswith("; promises all kept; asked: target RR 10 %, NOT MET")
    assert verdict(["joint groups", "target RR"], 0.1) == ("NOT KEPT: joint groups", "target RR 10 %, NOT MET")


def test_the_page_of_a_ledger_has_one_section_of_releases(case: Case) -> None:
    page = to_html(summarise(case.folder), verify(case.folder, key=PUBLIC))
    assert page.count("<h2>Releases</h2>") == 1
    section = page.split("<h2>Releases</h2>")[1].split("<h2>")[0]
    assert section.count("<tr>") == 2  # the headings, and the one release
    assert section.count("<li>") == 1
    assert "#1 " in section
    assert "release #0 attacked again" in section
    assert "#0 " not in page.replace(section, "")


def test_a_reassessment_tells_what_became_of_the_groups(tmp_path: Path) -> None:
    """Two names turn out to be one person: a group has one person less than was promised, and the entry says so."""
    people = ["old-a", *"bcd"]
    with open_ledger(tmp_path) as ledger:
        ledger.recognise([("old-a", [b"mark a"]), *((p, [p.encode()]) for p in "bcd")])
        shown = {p: "l" if p in ("old-a", "b") else "r" for p in people}
        ledger.releases.record(record("aa", 2), shown)
        ledger.releases.record(record("cc", 2), {"new-a": "l", "x": "l"})
        ledger.recognise([("new-a", [b"mark a"])])
        found = ledger.releases.standing("aa" * 32, shown)
        assert (found.groups.smallest, found.groups.promised, found.groups.earlier) == (1, 2, [2])
        with pytest.raises(InputError, match="no released file with digest eeeeeeeeeeee"):
            ledger.releases.standing("ee" * 32, shown)
        assert ledger.releases.record_reassessment(reassessed(1)) == ["joint groups"]
        assert ledger.releases.record_reassessment(reassessed(1, rr=0.6, target_rr=0.1)) == [
            "joint groups", "group size", "target RR",
        ]  # fmt: skip
    assert verify(tmp_path, key=PUBLIC).ok
