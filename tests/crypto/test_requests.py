"""Requests and what the coordinator signs: nobody asks with somebody else's key, and what is wrong leaves nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.consortium import ownkeys, provision
from afml.consortium.kit import load_roster, roster_message
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import Party
from afml.consortium.request import REQUEST, read_request
from afml.core.errors import AfmlError, InputError, IntegrityError
from crypto.public.signing import sign
from tests.crypto.keyfiles import contents


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_request_is_refused(
    key_root_made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = (key_root_made / "kits" / "node-1" / REQUEST).read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :]
    path = tmp_path_factory.mktemp("request") / REQUEST
    path.write_bytes(changed)
    with pytest.raises(AfmlError):
        read_request(path)


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_rubbish_is_no_request(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes) -> None:
    path = tmp_path_factory.mktemp("request") / REQUEST
    path.write_bytes(rubbish)
    with pytest.raises(AfmlError):
        read_request(path)


def test_nobody_asks_with_a_key_that_he_does_not_hold(root: Path) -> None:
    """Each public key of a request is signed with its own private key."""
    mine, other = (json.loads((root / "kits" / party / REQUEST).read_text()) for party in ("node-1", "node-2"))
    key = load_node_kit(root / "kits" / "node-1").signing_key
    path = root / REQUEST
    for field, value, words in (
        ("signing_key", other["signing_key"], "signature does not match"),
        ("tls", "rubbish", "holds no certificate request"),
        ("tls", mine["tls"][:80] + mine["tls"][80:].replace("A", "B", 1), "holds no certificate request"),
        ("name", "two\nlines", "printable"),
        ("name", "\x1b[2J", "printable"),
        ("sealing_key", "", "is what nodes have"),
    ):
        asked = read_request(root / "kits" / "node-1" / REQUEST).model_copy(update={field: value})
        signed = asked.model_copy(update={"signature": sign(key, asked.message()).hex()})
        path.write_bytes(signed.canonical())
        with pytest.raises(AfmlError, match=words):
            read_request(path)


@pytest.mark.parametrize(
    ("requests", "kit", "options", "words"),
    [
        (["node-1", "node-2"], "coordinator", {}, "0 requests of an aggregator"),
        (["aggregator"], "coordinator", {}, "0 requests of nodes"),
        (["node-1", "aggregator", "aggregator"], "coordinator", {}, "2 requests of an aggregator"),
        (["node-1", "node-1", "aggregator"], "coordinator", {}, "repeats the name"),
        (["node-1", "like", "aggregator"], "coordinator", {}, "repeats the founding key"),
        (["node-1", "aggregator", "coordinator"], "coordinator", {}, "not for signing"),
        (["node-1", "aggregator"], "node-2", {}, "is the kit of a node"),
        (["node-1", "aggregator"], "nowhere", {}, "kit does not exist"),
        (["node-1", "aggregator"], "coordinator", {"consortium": "other"}, "kit belongs to consortium test"),
        (["node-1", "aggregator"], "new", {}, "1 to 40 printable"),
        (["node-1", "aggregator"], "coordinator", {"days": 0}, "certificates for 0 days"),
    ],
)
def test_what_cannot_be_signed_is_refused_and_leaves_nothing(
    root: Path, requests: list[str], kit: str, options: dict[str, object], words: str
) -> None:
    kits = root / "kits"
    ownkeys.make(kits / "new", Party("coordinator", "c"))
    ownkeys.make_like(kits / "like", kits / "node-1")
    renamed = read_request(kits / "like" / REQUEST).model_copy(update={"name": "another name"})
    key = load_node_kit(kits / "node-1").signing_key
    renamed = renamed.model_copy(update={"signature": sign(key, renamed.message()).hex()})
    (kits / "like" / REQUEST).write_bytes(renamed.canonical())
    before = contents(root)
    with pytest.raises(InputError, match=words):
        provision.found([kits / one / REQUEST for one in requests], kits / kit, root / "x", **options)  # type: ignore[arg-type]
    assert contents(root) == before


def test_only_parties_on_the_roster_are_renewed(root: Path) -> None:
    kits = root / "kits"
    ownkeys.make(kits / "stranger", Party("node", "node-1"))
    for asked, words in ((["stranger"], "names no node node-1 by these keys"), (["node-1", "node-1"], "of one party")):
        paths = [shutil.copy(kits / one / REQUEST, root / f"{n}.json") for n, one in enumerate(asked)]
        with pytest.raises(InputError, match=words):
            provision.renew([Path(path) for path in paths], kits / "coordinator", root / "x")
    with pytest.raises(InputError, match="is the kit of an aggregator"):
        provision.renew([kits / "node-1" / REQUEST], kits / "aggregator", root / "x")
    assert not (root / "x").exists()


def test_a_consortium_is_founded_once(root: Path) -> None:
    """The same requests once more are answered as before; whoever else asks joins by a version."""
    kits = root / "kits"
    asked = [kits / party / REQUEST for party in ("node-1", "node-2", "aggregator")]
    before = load_roster(kits / "coordinator")
    assert provision.found(asked, kits / "coordinator", root / "again") == before
    ownkeys.make(kits / "late", Party("node", "late"))
    with pytest.raises(InputError, match=r"has a roster already.*`afml consortium add`"):
        provision.found([*asked, kits / "late" / REQUEST], kits / "coordinator", root / "x")
    assert not (root / "x").exists()


def test_nobody_takes_another_institutions_name_of_a_ledger(root: Path) -> None:
    """A coordinator that writes a roster by hand cannot give one institution's ledger to another key."""
    kits = root / "kits"
    victim = ownkeys.make_successor(root / "moved", kits / "node-1")
    roster = load_roster(kits / "node-1")
    for changes, words in (
        ({"lineage": victim.lineage}, "signature does not match"),
        ({"signing_key": victim.signing_key, "lineage": victim.lineage}, "gives one ledger to two institutions"),
    ):
        thief = roster.member(2).model_copy(update=changes)
        forged = roster.model_copy(update={"members": (roster.member(1), thief)})
        (kits / "node-2" / "roster.json").write_bytes(forged.canonical())
        key = provision.load_coordinator_key(kits / "coordinator")
        (kits / "node-2" / "roster.sig").write_bytes(sign(key, roster_message(forged)))
        with pytest.raises(IntegrityError, match=words):
            load_roster(kits / "node-2")
