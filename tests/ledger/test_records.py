"""Renamed people keep their account: what they spent, that they withdrew, and in which files they are."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.core.errors import BudgetError, InputError, ReleaseError
from afml.ledger import schema
from afml.ledger.releases import ReleaseRecord
from afml.ledger.store import Ledger
from afml.ledger.verify import verify
from tests.ledger.helpers import LIFETIME, PUBLIC, config, open_ledger, reserve, sigma, spend

Records = list[tuple[str, list[bytes]]]


def records(*names: str, of: str = "") -> Records:
    """Everybody's record; that of the person whose first name the letter of `of` is."""
    return [
        (name, [f"{person} {band}".encode() for band in range(3)])
        for name, person in zip(names, of or names, strict=True)
    ]


def test_a_renamed_sample_does_not_get_a_fresh_account(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        assert ledger.recognise(records("a", "b"))[1:] == (2, 0)
        spend(ledger, config("one", z=2.0), 1, people=["a", "b"])
        assert ledger.recognise(records("a", "x", of="ab")) == (2, 2, 1)
        spend(ledger, config("two", z=2.0), 1, people=["a", "x"])
        for name in ("a", "x", "b"):
            assert sigma(ledger, [name]) == pytest.approx(math.sqrt(2) / 2)
        with pytest.raises(BudgetError):
            reserve(ledger, config("three", z=0.53, rounds=1, reserve_attempts=0), ["x"])
    found = verify(tmp_path, key=PUBLIC)
    assert found.ok, found.findings
    assert any("about records" in line for line in found.checked)


def test_one_band_that_agrees_is_enough_and_what_is_new_is_remembered(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise([("a", [b"1", b"2", b"3"])])
        assert ledger.recognise([("x", [b"9", b"8", b"3"])]).renamed == 1
        assert ledger.recognise([("y", [b"9", b"7"])]).renamed == 1
        assert len(ledger) == 3
        assert ledger.recognise([("y", [b"9", b"7"])]).renamed == 0
        assert len(ledger) == 3  # nothing new: no entry


def test_accounts_that_turn_out_to_be_one_persons_are_joined(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise(records("a", "b"))
        spend(ledger, config("one", z=2.0), 1, people=["a"])
        spend(ledger, config("two", z=2.0), 1, people=["b"])
        both = [("p", [b"a 0", b"b 1"])]  # a map of people has said that they are one
        assert ledger.recognise(both).renamed == 2
        assert sigma(ledger, ["p"]) == sigma(ledger, ["a"]) == pytest.approx(math.sqrt(2) / 2)
        with pytest.raises(InputError, match="names 1 people twice, who had one account under two names"):
            spend(ledger, config("three"), 1, people=["a", "b"])
    assert verify(tmp_path, key=PUBLIC).ok


def test_accounts_are_looked_up_once_however_many_people_are_there(tmp_path: Path) -> None:
    """Not once a match: an institution may have a hundred thousand people."""
    asked = []
    for number, people in enumerate((2, 60)):
        names = [f"p{n}" for n in range(people)]
        with open_ledger(tmp_path / str(number)) as ledger:
            ledger.recognise([(name, [name.encode()]) for name in names])
            ledger.recognise([("new-p0", [b"p0"]), *((name, [name.encode()]) for name in names[1:])])
            queries: list[str] = []
            ledger.database.set_trace_callback(queries.append)
            assert ledger.recognise([("newer-p0", [b"p0"]), *((n, [n.encode()]) for n in names[1:])]).renamed == 1
            ledger.database.set_trace_callback(None)
        # `People.token` looks up each name that comes, and what is a match costs nothing more.
        asked.append(sum("FROM same" in query for query in queries) - people)
    assert asked[0] == asked[1]


def test_who_withdrew_stays_withdrawn_under_another_name(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise(records("a", "b"))
        ledger.withdraw(["a"])
        ledger.recognise(records("x", "b", of="ab"))
        assert ledger.enrollable(["x", "b"]) == ["b"]
        with pytest.raises(BudgetError, match="1 of 2 people have withdrawn"):
            spend(ledger, config(), 1, people=["x", "b"])


def test_who_was_in_a_simulation_is_known_under_another_name(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise(records("a", "b"))
        spend(ledger, config("simulated", seed=1), 1, people=["a", "b"])
        ledger.recognise(records("x", "b", of="ab"))
        with pytest.raises(BudgetError, match="1 of these people took part in a simulation"):
            spend(ledger, config("real"), 1, people=["x"])


def test_a_release_about_renamed_people_is_one_about_the_same_people(tmp_path: Path) -> None:
    halves = {p: "low" if p in "ab" else "high" for p in "abcd"}
    with open_ledger(tmp_path) as ledger:
        ledger.recognise(records(*"abcd"))
        ledger.releases.record(ReleaseRecord("run-1", "aa" * 32, "bb" * 32, 2), halves)
        ledger.recognise(records(*"wxyz", of="abcd"))
        with pytest.raises(ReleaseError, match="together with 1 earlier releases"):
            ledger.releases.record(
                ReleaseRecord("run-1", "cc" * 32, "bb" * 32, 2), {p: "l" if p in "wy" else "r" for p in "wxyz"}
            )


def test_two_people_who_are_there_together_are_two(tmp_path: Path) -> None:
    """Marks that both have tell nobody from anybody; a name that is there keeps its own account."""
    with open_ledger(tmp_path) as ledger:
        ledger.recognise([("a", [b"own a", b"shared"]), ("b", [b"own b", b"shared"])])
        spend(ledger, config("one"), 1, people=["a"])
        assert ledger.recognise([("a", [b"own a"]), ("c", [b"own a", b"own c"])]).renamed == 0
        assert ledger.recognise([("a", [b"own a"]), ("d", [b"shared"])]).renamed == 0
        assert len(ledger.accounts(["b", "c", "d"])[0].runs) == 0


def test_a_name_that_was_given_to_somebody_else_is_refused(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise(records("a", "b"))
        with pytest.raises(InputError, match=r"the records of 1 people are known .*--people"):
            ledger.recognise(records("a", "c", of="za"))
        assert len(ledger) == 1


@pytest.mark.parametrize(
    "edit",
    [
        "DELETE FROM marks",
        "DELETE FROM same",
        "DELETE FROM marks WHERE mark = (SELECT min(mark) FROM marks)",
        "UPDATE marks SET person = zeroblob(16) WHERE mark = (SELECT min(mark) FROM marks)",
        "UPDATE same SET account = zeroblob(16)",
        "UPDATE same SET account = person",
        "INSERT INTO marks VALUES (zeroblob(12), zeroblob(16), 1)",
        "INSERT INTO same VALUES (zeroblob(16), zeroblob(16), 0)",
    ],
)
def test_edited_tables_of_records_are_found(tmp_path: Path, edit: str) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise(records("a", "b"))
        spend(ledger, config(), 1, people=["a", "b"])
        ledger.recognise(records("a", "x", of="ab"))
    with sqlite3.connect(tmp_path / schema.FILE) as database:
        database.execute(edit)
    database.close()
    found = verify(tmp_path, key=PUBLIC)
    assert "edited-records" in {finding.code for finding in found.findings}


def test_no_record_is_on_disk_in_the_clear(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.recognise([("person-1", [b"TELLTALE" * 4])])
    for path in tmp_path.iterdir():
        assert b"TELLTALE" not in path.read_bytes()


histories = st.lists(st.permutations(range(4)).map(lambda order: order[:3]), min_size=1, max_size=5)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_whoever_is_there_under_any_new_name_pays_for_all(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[int]], random: object
) -> None:
    """People take part in runs under a fresh name each time; everybody's account is what the person did."""
    with open_ledger(tmp_path_factory.mktemp("ledger")) as ledger:
        times = dict.fromkeys(range(4), 0)
        for number, people in enumerate(runs):
            names = [f"name-{number}-{person}" for person in people]
            ledger.recognise([(name, [b"%d" % person]) for name, person in zip(names, people, strict=True)])
            spend(ledger, config(f"run-{number}", z=3.0, rounds=1, budget=LIFETIME), 1, people=names)
            for person in people:
                times[person] += 1
            for name, person in zip(names, people, strict=True):
                assert _sigma(ledger, name) == pytest.approx(math.sqrt(times[person]) / 3)


def _sigma(ledger: Ledger, name: str) -> float:
    return sigma(ledger, [name])
