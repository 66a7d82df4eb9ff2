"""Keys that an auditor brings: from a roster, or as hex, which stands above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.consortium.provision import provision
from afml.consortium.roster import Roster
from afml.core.errors import InputError
from afml.ledger.checkpoint import origin_of
from afml.ledger.outside import Files, KeyOptions, verify_with

OTHER = "ab" * 32


@pytest.fixture(scope="module")
def roster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kits = tmp_path_factory.mktemp("consortium") / "kits"
    provision(kits, "test", 3)
    return kits / "node-1" / "roster.json"


def test_a_roster_gives_all_keys(roster: Path, tmp_path: Path) -> None:
    keys, known = KeyOptions(roster, 2).resolve(tmp_path), Roster.load(roster)
    assert keys.signer.hex() == known.member(2).signing_key
    assert keys.aggregator is not None
    assert keys.aggregator.hex() == known.aggregator_key
    assert set(keys.peers) == {origin_of("test", 1), origin_of("test", 3)}
    assert keys.peers[origin_of("test", 3)].hex() == known.member(3).signing_key


def test_keys_in_hex_stand_above_the_roster(roster: Path, tmp_path: Path) -> None:
    keys = KeyOptions(roster, 2, key=OTHER, aggregator_key=OTHER).resolve(tmp_path)
    assert (keys.signer, keys.aggregator) == (bytes.fromhex(OTHER), bytes.fromhex(OTHER))
    alone = KeyOptions(key=OTHER).resolve(tmp_path)
    assert (alone.signer, alone.aggregator, dict(alone.peers)) == (bytes.fromhex(OTHER), None, {})


@pytest.mark.parametrize(("key", "option"), [("key", "--key"), ("aggregator_key", "--aggregator-key")])
@pytest.mark.parametrize("text", ["", "abc", OTHER + "00", "zz" * 32])
def test_what_is_no_key_is_refused(tmp_path: Path, key: str, option: str, text: str) -> None:
    with pytest.raises(InputError, match="32-byte") as refused:
        KeyOptions(**{"key": OTHER, key: text}).resolve(tmp_path)  # type: ignore[arg-type]
    assert refused.value.where == option


def test_a_key_must_come_from_somewhere(roster: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must come from outside"):
        KeyOptions().resolve(tmp_path)
    with pytest.raises(InputError, match="needs --node"):
        KeyOptions(roster).resolve(tmp_path)
    with pytest.raises(InputError, match="has no node 4"):
        KeyOptions(roster, 4).resolve(tmp_path)


def test_a_transcript_needs_the_aggregators_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the aggregator's key"):
        verify_with(tmp_path, KeyOptions(key=OTHER), Files((tmp_path / "transcript.jsonl",)))
