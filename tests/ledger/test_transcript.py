"""The aggregator's transcript: chained, signed, and appended to without reading it again."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.refusal import Refusal
from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError
from afml.ledger import transcript
from aggregator.transcript import Transcript
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.case import Case
from tests.ledger.helpers import AGGREGATOR, config, open_ledger, publish, read_transcript, spend


def test_transcripts_are_chained_and_signed(case: Case) -> None:
    lines = case.transcript.read_bytes().splitlines(keepends=True)
    for name, data in {
        "dropped": lines[:2] + lines[3:],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "altered": [lines[0].replace(b'"round":1', b'"round":7'), *lines[1:]],
        "cut": [*lines[:-1], lines[-1][:-10]],
        "junk": [b"[]\n"],
        "nested": [b"[" * 100_000 + b"\n"],
    }.items():
        path = case.transcript.with_name(name)
        path.write_bytes(b"".join(data))
        with pytest.raises(IntegrityError):
            read_transcript(path)
    with pytest.raises(IntegrityError, match="already published"):
        publish(case.transcript, case.runs[0], case.receipts[0][:1], case.clock)
    # A crash in the middle of a line: the next append mends it.
    case.transcript.write_bytes(b"".join(lines) + lines[0][:25])
    run = config("run-3")
    with open_ledger(case.folder, clock=case.clock) as ledger:
        publish(case.transcript, run, [spend(ledger, run, 1)], case.clock)
    assert len(read_transcript(case.transcript)) == 7


def rounds(run: RunConfig, numbers: range) -> list[transcript.PublishedRound]:
    return [transcript.record_for(run, Attempt(n, 1), [1, 2, 3], time_ms=n) for n in numbers]


def test_a_round_costs_one_line_and_never_reads_the_others_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, records = tmp_path / "new" / "t.jsonl", rounds(config(rounds=9), range(1, 10))
    appender = transcript.Appender(path, AGGREGATOR)
    assert not path.exists(), "it is made with the first round"
    with monkeypatch.context() as only_appending:
        only_appending.delattr(transcript, "_verified")
        for record in records:
            appender.append(record)
    assert read_transcript(path) == records
    slow = b""
    for record in records:  # the format, said slowly
        lines = slow.splitlines()
        previous = hashlib.sha256(lines[-1]).hexdigest() if lines else transcript.FIRST
        slow += transcript.line_for(record, previous, AGGREGATOR) + b"\n"
    assert path.read_bytes() == slow


def test_a_restart_goes_on_where_the_file_ends(tmp_path: Path) -> None:
    path, records = tmp_path / "t.jsonl", rounds(config(rounds=6), range(1, 7))
    for record in records:
        transcript.Appender(path, AGGREGATOR).append(record)
    assert read_transcript(path) == records
    again = transcript.Appender(path, AGGREGATOR)
    assert again.holds(records[3].model_copy(update={"time_ms": 99}))
    assert not again.holds(records[3].model_copy(update={"attempt": 2}))
    assert not again.holds(rounds(config("other"), range(1, 2))[0])


@pytest.mark.parametrize("what", ["altered", "swapped", "foreign"])
def test_an_altered_file_is_refused_at_opening_and_left_as_it_is(tmp_path: Path, what: str) -> None:
    path = tmp_path / "t.jsonl"
    appender = transcript.Appender(path, AGGREGATOR)
    for record in rounds(config(), range(1, 4)):
        appender.append(record)
    lines = path.read_bytes().splitlines(keepends=True)
    bad = {
        "altered": [lines[0].replace(b'"quorum":3', b'"quorum":2'), *lines[1:]],
        "swapped": [lines[1], lines[0], lines[2]],
        "foreign": lines,
    }[what]
    data = b"".join(bad) + b'{"half'
    path.write_bytes(data)
    key = generate_signing_key() if what == "foreign" else AGGREGATOR
    with pytest.raises(IntegrityError, match="line"):
        transcript.Appender(path, key)
    assert path.read_bytes() == data


def test_a_file_that_changes_under_its_appender_is_refused(tmp_path: Path) -> None:
    path, records = tmp_path / "t.jsonl", rounds(config(rounds=9), range(1, 10))
    appender = transcript.Appender(path, AGGREGATOR)
    for record in records[:3]:
        appender.append(record)
    good = path.read_bytes()
    last = good.splitlines(keepends=True)[-1]
    for name, data in {
        "shorter": good[: -len(last)],
        "longer": good + last,
        "same size": good[:-20] + bytes(reversed(good[-20:])),
        "gone": None,
    }.items():
        path.unlink() if data is None else path.write_bytes(data)
        with pytest.raises(IntegrityError, match="changed by somebody else"):
            appender.append(records[3])
        assert (path.read_bytes() if path.exists() else None) == data, name
    path.write_bytes(good)
    appender.append(records[3])
    assert read_transcript(path) == records[:4]


def test_a_round_that_a_restart_sums_again_is_there_once(tmp_path: Path) -> None:
    path, run = tmp_path / "t.jsonl", config()
    with open_ledger(tmp_path / "ledger") as ledger:
        receipts = {node: spend(ledger, run, node).to_json() for node in (1, 2, 3)}
    for _ in range(2):  # two lives of the aggregator
        kept = Transcript(path, AGGREGATOR)
        for _ in range(2):
            kept.add(run, Attempt(1, 1), receipts)
        with pytest.raises(IntegrityError, match="round 1 of run run-1 is already published"):
            kept.add(run, Attempt(1, 2), receipts)
    (only,) = read_transcript(path)
    assert (only.round, only.attempt, only.cohort) == (1, 1, (1, 2, 3))
    path.write_bytes(path.read_bytes() + b'{"attempt":1,"coh')  # it died while it wrote
    Transcript(path, AGGREGATOR).add(run, Attempt(2, 1), receipts)
    assert [record.round for record in read_transcript(path)] == [1, 2]


def test_what_the_aggregator_imports_loads_no_network_genome_or_accountant() -> None:
    heavy = {"torch", "opacus", "dp_accounting", "scipy", "cyvcf2", "pysam", "tenseal", "zarr"}
    code = f"import sys, afml.ledger.transcript, aggregator.transcript; print(*({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []


def test_refused_sums_stand_between_the_rounds_and_change_none(tmp_path: Path) -> None:
    run, key = config(rounds=2).model_copy(update={"verified_sums": True}), generate_signing_key()
    path, published = tmp_path / "t.jsonl", rounds(run, range(1, 3))
    published = [one.model_copy(update={"sum": f"{one.round:064x}"}) for one in published]
    refusals = [Refusal.signed_by(key, node, run, Attempt(1, 1), bytes(31) + b"\x01") for node in (2, 3)]
    for record in (published[0], published[1]):
        transcript.Appender(path, AGGREGATOR).append(record)
    kept = Transcript(path, AGGREGATOR)
    for refusal in (*refusals, refusals[0]):  # a restart comes to it again
        kept.add_refusal(refusal)
    assert read_transcript(path) == published
    public = public_bytes(AGGREGATOR)
    assert [one.refusal for one in transcript.read_refusals(path, public)] == refusals
    assert transcript.read_orders(path, public) == []
    assert transcript.Appender(path, AGGREGATOR).holds(published[0])


def test_lines_of_runs_whose_sums_are_believed_are_as_ever() -> None:
    (record,) = rounds(config(), range(1, 2))
    assert b'"sum"' not in transcript.line_for(record, transcript.FIRST, AGGREGATOR)
