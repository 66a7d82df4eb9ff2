"""Keys that an auditor brings: from a roster, or as hex, which stands above it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.nodekit import load_node_kit
from afml.consortium.roster import Roster
from afml.core.errors import InputError
from afml.ledger.checkpoint import origin_of
from afml.ledger.outside import Files, KeyOptions, verify_with
from afml.ledger.store import Ledger
from afml.trial.kits import make_kits
from crypto.public.signing import public_bytes
from tests.ledger.case import Case
from tests.ledger.helpers import AGGREGATOR, PUBLIC

OTHER = "ab" * 32


@pytest.fixture(scope="module")
def roster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kits = tmp_path_factory.mktemp("consortium") / "kits"
    make_kits(kits, "test", 3)
    return kits / "node-1" / "roster.json"


def test_a_roster_gives_all_keys(roster: Path, tmp_path: Path) -> None:
    keys, known = KeyOptions(roster, 2).resolve(tmp_path), Roster.load(roster)
    assert keys.signer.hex() == known.member(2).signing_key
    assert keys.aggregator is not None
    assert keys.aggregator.hex() == known.aggregator_key
    assert set(keys.peers) == {known.member(1).origin, known.member(3).origin}
    assert keys.peers[known.member(3).origin].hex() == known.member(3).signing_key


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
    with pytest.raises(InputError, match="holds no ledger"):
        KeyOptions(roster).resolve(tmp_path)
    with pytest.raises(InputError, match="has no node 4"):
        KeyOptions(roster, 4).resolve(tmp_path)


def test_a_ledger_is_looked_up_on_the_roster_by_its_name(roster: Path, tmp_path: Path) -> None:
    kit = load_node_kit(roster.parents[1] / "node-2")
    Ledger.open(tmp_path / "own", kit.signing_key, origin=kit.origin).close()
    keys = KeyOptions(roster).resolve(tmp_path / "own")
    assert (keys.node, keys.signer.hex()) == (2, kit.roster.member(2).signing_key)
    assert set(keys.peers) == {kit.roster.member(n).origin for n in (1, 3)}
    stranger = Ed25519PrivateKey.generate()
    Ledger.open(tmp_path / "other", stranger, origin=origin_of(public_bytes(stranger))).close()
    with pytest.raises(InputError, match="of nobody on this roster"):
        KeyOptions(roster).resolve(tmp_path / "other")
    (tmp_path / "other" / "ledger.db").write_bytes(b"rubbish" * 600)
    with pytest.raises(InputError, match="cannot be read"):
        KeyOptions(roster).resolve(tmp_path / "other")


def test_a_transcript_needs_the_aggregators_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the aggregator's key"):
        verify_with(tmp_path, KeyOptions(key=OTHER), Files((tmp_path / "transcript.jsonl",)))


def test_a_transcript_without_a_round_is_as_good_as_none(case: Case, tmp_path: Path) -> None:
    (empty := tmp_path / "cut.jsonl").write_bytes(b"")
    keys = KeyOptions(key=PUBLIC.hex(), aggregator_key=public_bytes(AGGREGATOR).hex(), node=1)
    unseen = "rollback, forks and hidden runs cannot be seen"
    assert f"no transcript was given: {unseen}" in verify_with(case.folder, keys, Files()).unchecked
    cut = verify_with(case.folder, keys, Files((empty,)))
    assert f"no round is in what was given as transcript: {unseen}" in cut.unchecked
    whole = verify_with(case.folder, keys, Files((case.transcript,)))
    assert not any(unseen in one for one in whole.unchecked)
