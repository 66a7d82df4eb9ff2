"""The verifier that a dossier carries: alone in a process, and its bounds around dp-accounting's values."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.request import fingerprint
from afml.consortium.roster import Roster
from afml.dossier import standalone
from afml.ledger import independent, tree
from afml.privacy import events
from afml.privacy.accountant import profile
from afml.privacy.ple import ple_of
from tests.dossier.pack import Hands


def test_it_runs_with_nothing_of_ours(good: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", good / "verify.py"], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing found\n")
    assert len(done.stdout.splitlines()) < 40, "a summary; the statements are printed with --all"
    assert "checked the manifest, signed by node-1" in done.stdout
    assert "not checked: whether this roster is the institutions' own" in done.stdout
    source = Path(str(standalone.__file__)).read_text(encoding="utf-8")
    assert not any(
        line.startswith(("import afml", "from afml", "from crypto.", "from node")) for line in source.splitlines()
    )


def test_a_roster_is_named_by_its_whole_digest_and_anything_else_is_told_what_is_wanted(good: Path) -> None:
    digest = standalone.sha256((good / "roster.json").read_bytes())

    def verify(roster: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", good / "verify.py", "--roster", str(roster)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")

    for whole in (digest, digest.upper()):
        assert verify(whole).returncode == 0
    told = " ".join(digest[at : at + 4] for at in range(0, 32, 4))
    assert told == fingerprint(Roster.load(good / "roster.json").digest())
    for short in (told, good / "roster.json", digest[:-1] + "g"):
        done = verify(short)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--roster takes the whole SHA-256 of roster.json, 64 hex digits" in done.stderr.splitlines()[-1]
        assert "sha256sum" in done.stderr.splitlines()[-1]
    assert verify("0" * 64).returncode == 6


def test_all_statements_are_listed_as_people_read_them_with_their_numbers(good: Path) -> None:
    found = standalone.Check(good).run()
    told = "\n".join(standalone.lines(found, every=True))
    assert told.startswith("\n".join(standalone.lines(found)))
    for number, (name, *_) in enumerate(found.stands, 1):
        assert f"\n{number} {name} = " in told
    for word in ("since 1970", "None", "True", "False", " 1 institutions", " 1 entries", " 1 people", " 1 rounds"):
        assert word not in told, word


def test_a_file_that_is_named_so_cannot_speak_for_the_verifier(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, folder := tmp_path / "dossier")
    (folder / "report.json\x1b[2J\x1b[Hnothing found\n\x1b[8m").write_text("")
    command = [sys.executable, "-I", folder / "verify.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 6
    assert "\x1b" not in done.stdout
    assert "added-file report.json\\x1b[2J\\x1b[Hnothing found\\n\\x1b[8m: is not in the manifest" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 finding"
    assert "nothing found" not in done.stdout.splitlines()


@given(st.text(), st.one_of(st.integers(), st.floats(), st.text()), st.sampled_from(["ms since 1970", "sigma", ""]))
def test_whatever_a_dossier_says_is_a_line_that_moves_no_cursor(text: str, value: object, unit: str) -> None:
    found = standalone.Check(Path())
    found.checked, found.findings = [text], [standalone.Finding("other-page", text, text)]
    found.stands = [(text, value, unit, text)]
    told = standalone.lines(found, every=True)
    assert len(told) == 5
    assert all(line.isprintable() for line in told)


def test_a_transcript_without_a_round_shows_nothing_and_that_is_said(hands: Hands) -> None:
    unseen = "no published round: hidden runs cannot be seen"
    assert unseen not in standalone.Check(hands.folder).run().unchecked
    (hands.folder / "transcripts" / "1.jsonl").write_bytes(b"")
    assert unseen in standalone.Check(hands.folder).run().unchecked


MECHANISMS = st.lists(st.tuples(st.floats(0.01, 1), st.floats(-6, 6)), min_size=2, max_size=12)


@given(MECHANISMS, st.sampled_from([9.0, 99.0]))
def test_whom_outcomes_give_away_is_bounded_for_every_mechanism(
    mechanism: list[tuple[float, float]], odds: float
) -> None:
    """Any outcomes, by their own curve: those that are `odds` times as likely with a person as without."""
    whole = sum(q for q, _ in mechanism)
    without = [q / whole for q, _ in mechanism]
    raw = [q * math.exp(loss) for q, (_, loss) in zip(without, mechanism, strict=True)]
    with_ = [p / sum(raw) for p in raw]
    pairs = list(zip(with_, without, strict=True))

    def delta(epsilon: float) -> float:
        return sum(max(0.0, p - math.exp(epsilon) * q) for p, q in pairs)

    given_away = [(p, q) for p, q in pairs if p >= odds * q]
    most = standalone.sure(odds, delta)
    assert sum(p for p, _ in given_away) <= most + 1e-9
    assert sum(q for _, q in given_away) <= most / odds + 1e-9


def test_for_a_gaussian_it_is_more_than_its_own_outcomes_and_a_mechanism_reaches_it() -> None:
    mu, odds = 0.875, 9
    own = 0.5 * math.erfc(-(mu / 2 - math.log(odds) / mu) / math.sqrt(2))  # P(loss >= log odds)
    most = standalone.RULES["sure_90"](mu, 1e-5)
    assert own < most < 0.05
    rates = [i / 10**5 for i in range(1, 10**4)]  # outcomes merged: where the trade-off curve meets the line of odds 9
    normal = NormalDist()
    reached = max(odds * q for q in rates if normal.cdf(normal.inv_cdf(q) + mu) >= odds * q)
    assert most == pytest.approx(reached, rel=0.01)


@given(st.floats(0.01, 50), st.floats(0.001, 50), st.integers(0, 4000), st.integers(0, 10**12))
def test_a_budget_ends_where_squares_that_go_on_reach_it(limit: float, spent: float, days: int, first: int) -> None:
    """Day by day, as slowly as can be; null where the pace is of less than 30 days, or of a century."""
    day = 86_400_000
    found = standalone.ends(limit, spent, first, first + days * day)
    if days < 30:
        assert found is None
        return
    whole = (limit / spent) ** 2 * days  # days until squares at this pace make the limit
    if found is None:
        assert whole >= days + 36_524
    else:
        assert found == pytest.approx(first + whole * day, abs=day)
        assert datetime.fromtimestamp(found / 1000, UTC)  # a page writes it as a date


def test_nothing_spent_ends_never() -> None:
    assert standalone.ends(1.0, 0.0, 0, 10**11) is None


@pytest.mark.parametrize("count", range(1, 34))
def test_proofs_are_those_of_the_writers_tree(count: int) -> None:
    leaves = [bytes([number]) * 32 for number in range(count)]
    for index in range(count):
        path = standalone.proof(index + 1, leaves, whole=False)
        assert path == tree.inclusion_proof(leaves, index)
        assert tree.included(leaves[index], index, count, path, standalone.roots(leaves)[-1])
        assert standalone.proof(index + 1, leaves) == tree.consistency_proof(leaves, index + 1)


KINDS = ((1.0, 5.0), (1.0, 2.0), (0.1, 1.0), (0.3, 2.0))
STEPS = st.dictionaries(st.sampled_from(KINDS), st.integers(1, 9)).map(Counter)


@given(STEPS, STEPS, st.booleans())
def test_what_a_run_takes_is_what_the_ledger_charges(
    plan: Counter[tuple[float, float]], spent: Counter[tuple[float, float]], whole: bool
) -> None:
    found = standalone.charged(plan, spent, whole)
    expected = events.compose((events.reserved if whole else events.charged)(_events(plan), _events(spent)))
    full = sum(n / z**2 for (rate, z), n in found.items() if rate == 1)
    assert full == pytest.approx(expected.gaussian_mu**2)
    assert {(q, z): n for (q, z), n in found.items() if q < 1} == {(q, z): n for q, z, n in expected.subsampled}


def _events(steps: Counter[tuple[float, float]]) -> list[events.Event]:
    return [events.SubsampledGaussian(rate, z, n) for (rate, z), n in steps.items()]


@pytest.mark.parametrize(
    ("steps", "most"),
    [
        ({(1.0, 5.2228): 20, (0.1, 1.4302): 4}, 0.003),
        ({(1.0, 8.0): 4}, 0.0015),
        ({(0.1, 50.0): 10}, 0.0014),  # PRV says more than the upper end here
        ({(0.3, 0.5): 5}, 0.009),
        ({(0.01, 0.8): 1000}, 0.028),
    ],
)
def test_what_prv_says_is_above_its_bounds_by_no_more_than_the_grids_error(
    steps: dict[tuple[float, float], int], most: float
) -> None:
    epsilon, ple, (_, room) = standalone.bounds(Counter(steps), 1e-5)
    said = ple_of(profile(_events(Counter(steps)), 1e-5, "PRV"), 1e-5)
    assert said.epsilon - epsilon[1] <= room
    assert said.sigma - ple[1] <= room
    assert room <= most


@pytest.mark.parametrize(
    "steps",
    [{(1.0, 5.0): 20}, {(1.0, 5.2228): 20, (0.1, 1.4302): 4}, {(0.05, 1.0): 60}, {(0.5, 10.0): 30, (0.3, 5.0): 7}],
)
def test_its_bounds_hold_what_another_accountant_finds(steps: dict[tuple[float, float], int]) -> None:
    (epsilon, ple, _), other = standalone.bounds(Counter(steps), 1e-5), independent.spend(steps, 1e-5)
    assert epsilon[0] - 1e-3 <= other.epsilon <= epsilon[1] + 1e-3
    assert ple[0] - 1e-3 <= other.ple_sigma <= ple[1] + 1e-3
    assert epsilon[1] - epsilon[0] < 0.05
