"""Pairs agree by both halves of their keys, and find out before any pad is made where somebody cheats."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Mapping

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.attempt import Attempt, Binding
from afml.core.errors import IntegrityError, ProtocolError
from crypto.public.packing import centre
from crypto.public.params import choose
from crypto.public.suites import CIPHERTEXT_BYTES, CLASSICAL, HYBRID, KeyAgreement, split
from crypto.secret.kem import Encapsulated
from crypto.secret.pads import TAG_BYTES, PadKeys, Pads, confirmation_tag
from crypto.secret.pairs import Pairs, Place, encapsulated
from tests.crypto.parties import CONFIG
from tests.crypto.test_kem import written_down

ROSTER, RUN_KEY = b"r" * 32, b"confirm" * 4
NODES = (1, 2, 5, 9)


class Party:
    """One node, with what it has been shown."""

    def __init__(self, node: int, agreement: KeyAgreement = HYBRID) -> None:
        self.node, self.keys = node, PadKeys.generate(agreement)

    def meet(
        self, publics: Mapping[int, bytes], *, config: bytes = CONFIG, roster: bytes = ROSTER,
        before: Mapping[int, Encapsulated] | None = None,
    ) -> Pairs:  # fmt: skip
        peers = {node: public for node, public in publics.items() if node != self.node}
        hybrid = self.keys.kem is not None
        self.made = encapsulated(self.node, peers, before or {}) if hybrid else {}
        return Pairs(Place(self.node, config, roster), self.keys, peers, self.made)


def consortium(
    agreement: KeyAgreement = HYBRID, nodes: tuple[int, ...] = NODES
) -> tuple[dict[int, Party], dict[int, Pairs]]:
    parties = {node: Party(node, agreement) for node in nodes}
    publics = {node: party.keys.public for node, party in parties.items()}
    return parties, {node: party.meet(publics) for node, party in parties.items()}


def exchanged(pairs: Mapping[int, Pairs]) -> None:
    """Every confirmation letter, in an order of its own."""
    for node in sorted(pairs, reverse=True):
        for peer in pairs:
            if peer != node:
                pairs[node].confirm(peer, pairs[peer].confirmation(node, RUN_KEY), RUN_KEY)


# -- honest parties ------------------------------------------------------------------------------------


@pytest.mark.parametrize("agreement", [HYBRID, CLASSICAL])
def test_both_ends_of_every_pair_hold_one_secret_which_no_other_pair_has(agreement: KeyAgreement) -> None:
    _, pairs = consortium(agreement)
    exchanged(pairs)
    for node in NODES:
        assert pairs[node].peers == tuple(peer for peer in NODES if peer != node)
        assert {peer: pairs[peer].secrets[node] for peer in pairs[node].peers} == dict(pairs[node].secrets)
    assert len({secret for one in pairs.values() for secret in one.secrets.values()}) == 6


def test_the_lower_node_encapsulates_and_the_higher_one_has_no_secret_before_its_letter() -> None:
    parties, pairs = consortium()
    assert {node: set(party.made) for node, party in parties.items()} == {1: {2, 5, 9}, 2: {5, 9}, 5: {9}, 9: set()}
    assert {node: set(one.secrets) for node, one in pairs.items()} == {1: {2, 5, 9}, 2: {5, 9}, 5: {9}, 9: set()}
    sizes = {len(pairs[2].confirmation(peer, RUN_KEY)) for peer in (5, 9)}
    assert (sizes, len(pairs[2].confirmation(1, RUN_KEY))) == ({CIPHERTEXT_BYTES + TAG_BYTES}, TAG_BYTES)


def test_pads_are_made_with_those_alone_whose_letter_has_come_and_cancel_then() -> None:
    params = choose(4, 16, 10**6)
    binding = Binding("run", CONFIG, Attempt(1, 1), NODES)
    _, pairs = consortium()
    pads = {node: Pads(node, CONFIG, one.secrets) for node, one in pairs.items()}
    with pytest.raises(ProtocolError, match="no pad key of node 1"):
        pads[9].words(binding, range(1), params)
    exchanged(pairs)
    total = sum(pads[node].words(binding, range(1), params) for node in NODES)
    assert np.all(centre(np.asarray(total), params.total_bits) == 0)


def test_a_pairs_secret_matches_the_written_definition() -> None:
    """From the design note, from the ciphertext as it travels and the higher node's private keys."""
    parties, pairs = consortium()
    ciphertext = pairs[2].confirmation(9, RUN_KEY)[:CIPHERTEXT_BYTES]
    opener = parties[9].keys.kem
    assert opener is not None
    parts = [CONFIG, ROSTER, struct.pack("<2Q", 2, 9), parties[2].keys.public, parties[9].keys.public, ciphertext]
    dh = parties[9].keys.shared(parties[2].keys.public)
    assert pairs[2].secrets[9] == written_down(b"afml hybrid pair v1", opener.decapsulate(ciphertext), dh, parts)


def test_by_x25519_alone_secrets_and_tags_are_what_they_always_were() -> None:
    """A run under way goes on after an upgrade, with peers that have not upgraded."""
    parties, pairs = consortium(CLASSICAL)
    secret = parties[2].keys.shared(parties[9].keys.public)
    assert pairs[2].secrets[9] == secret
    bound = hashlib.sha256(secret + RUN_KEY).digest()
    assert pairs[2].confirmation(9, RUN_KEY) == confirmation_tag(bound, CONFIG, 2, 9)


def test_a_node_that_was_started_again_sends_the_same_letters_and_agrees_the_same() -> None:
    parties, pairs = consortium()
    publics = {node: party.keys.public for node, party in parties.items()}
    again = parties[2].meet(publics, before=parties[2].made)
    assert [again.confirmation(peer, RUN_KEY) for peer in (1, 5, 9)] == [
        pairs[2].confirmation(peer, RUN_KEY) for peer in (1, 5, 9)
    ]
    again.confirm(1, pairs[1].confirmation(2, RUN_KEY), RUN_KEY)
    again.confirm(1, pairs[1].confirmation(2, RUN_KEY), RUN_KEY)  # a letter may be read twice
    assert again.secrets[1] == pairs[1].secrets[2]


# -- parties that cheat --------------------------------------------------------------------------------


def refused(pairs: Pairs, peer: int, said: bytes, run_key: bytes = RUN_KEY) -> None:
    """It is refused, names the peer, and leaves no secret to make a pad of."""
    before = dict(pairs.secrets)
    with pytest.raises(IntegrityError, match=f"node {peer}"):
        pairs.confirm(peer, said, run_key)
    assert dict(pairs.secrets) == before


@given(position=st.integers(0, CIPHERTEXT_BYTES + TAG_BYTES - 1), bit=st.integers(0, 7))
def test_a_letter_with_any_bit_wrong_is_refused(position: int, bit: int) -> None:
    _, pairs = _STANDING
    said = bytearray(pairs[2].confirmation(9, RUN_KEY))
    said[position] ^= 1 << bit
    refused(pairs[9], 2, bytes(said))


_STANDING = consortium()


def test_a_members_ciphertext_for_somebody_else_or_of_its_own_making_is_refused() -> None:
    parties, pairs = consortium()
    mine = pairs[1].confirmation(9, RUN_KEY)
    for wrong in (
        pairs[1].confirmation(5, RUN_KEY),  # what it sent to another node
        pairs[2].confirmation(9, RUN_KEY),  # what another node sent
        parties[1].meet({9: parties[9].keys.public}).confirmation(9, RUN_KEY)[:CIPHERTEXT_BYTES] + mine[-TAG_BYTES:],
        bytes(CIPHERTEXT_BYTES) + mine[-TAG_BYTES:],
        mine[-TAG_BYTES:],  # no ciphertext: a tag by X25519 alone
        mine + b"\0", mine[:-1], b"",
    ):  # fmt: skip
        refused(pairs[9], 1, wrong)
    pairs[9].confirm(1, mine, RUN_KEY)


def test_a_tag_by_x25519_alone_does_not_pass_for_a_hybrid_one() -> None:
    """Whoever has broken X25519, and replaces a ciphertext, still cannot make the tag."""
    parties, pairs = consortium()
    dh = parties[1].keys.shared(parties[9].keys.public)
    tag = confirmation_tag(hashlib.sha256(dh + RUN_KEY).digest(), CONFIG, 1, 9)
    refused(pairs[9], 1, pairs[1].confirmation(9, RUN_KEY)[:CIPHERTEXT_BYTES] + tag)


def test_a_ciphertext_from_the_higher_node_is_refused() -> None:
    _, pairs = consortium()
    refused(pairs[1], 9, bytes(CIPHERTEXT_BYTES) + pairs[9].confirmation(1, RUN_KEY))
    _, classical = consortium(CLASSICAL)
    refused(classical[9], 1, bytes(CIPHERTEXT_BYTES) + classical[1].confirmation(9, RUN_KEY))


@pytest.mark.parametrize("half", ["ML-KEM", "X25519"])
def test_a_relay_that_swaps_either_half_of_a_key_is_found(half: str) -> None:
    """Its signature would show it first; the secret itself shows it too, in both directions."""
    victim, other, relay = Party(9), Party(1), Party(7)
    kem, dh = split(victim.keys.public)
    false_kem, false_dh = split(relay.keys.public)
    shown = {9: false_kem + dh if half == "ML-KEM" else kem + false_dh}
    lower, higher = other.meet(shown), victim.meet({1: other.keys.public})
    refused(higher, 1, lower.confirmation(9, RUN_KEY))
    if half == "X25519":
        refused(lower, 9, higher.confirmation(1, RUN_KEY))


def test_a_swapped_key_of_the_lower_node_is_found_though_it_decapsulates_nothing() -> None:
    """The whole of both public keys is in every secret, also the half that this exchange did not use."""
    victim, other, relay = Party(9), Party(1), Party(7)
    shown = split(relay.keys.public)[0] + split(other.keys.public)[1]
    lower, higher = other.meet({9: victim.keys.public}), victim.meet({1: shown})
    refused(higher, 1, lower.confirmation(9, RUN_KEY))


def test_a_copied_key_gives_its_owner_and_the_copier_no_common_secret() -> None:
    """Node 5 enrols with the ML-KEM key of node 9: it cannot decapsulate, and node 9 would hold another secret."""
    sender, owner, copier = Party(1), Party(9), Party(5)
    copied = split(owner.keys.public)[0] + split(copier.keys.public)[1]
    pairs = sender.meet({5: copied, 9: owner.keys.public})
    opener = owner.keys.kem
    assert opener is not None
    assert pairs.secrets[5] != pairs.secrets[9]
    refused(copier.meet({1: sender.keys.public}), 1, pairs.confirmation(5, RUN_KEY))
    refused(owner.meet({1: sender.keys.public}), 1, pairs.confirmation(5, RUN_KEY))


@pytest.mark.parametrize("change", ["run", "roster", "run key", "node"])
def test_a_letter_of_another_run_roster_key_or_node_is_refused(change: str) -> None:
    parties, pairs = consortium()
    publics = {node: party.keys.public for node, party in parties.items()}
    lower = parties[1].meet(
        publics, before=parties[1].made,
        config=b"x" * 32 if change == "run" else CONFIG, roster=b"x" * 32 if change == "roster" else ROSTER,
    )  # fmt: skip
    sent = lower.confirmation(9, b"another" * 4 if change == "run key" else RUN_KEY)
    if change == "node":
        renamed = Party(3)
        renamed.keys = parties[1].keys
        sent = renamed.meet({9: publics[9]}).confirmation(9, RUN_KEY)
    refused(pairs[9], 1, sent)


def test_an_unusable_key_names_its_node() -> None:
    good = PadKeys.generate(HYBRID).public
    for bad in (b"\xff" * 1184 + good[-32:], good[:-32] + bytes(32)):
        with pytest.raises(IntegrityError, match="pad key of node 9"):
            Party(1).meet({9: bad})


# -- what recorded traffic is worth later --------------------------------------------------------------


def test_all_that_was_recorded_and_every_x25519_key_do_not_open_a_pair() -> None:
    """X25519 has fallen: its secret is known, the ciphertext was recorded; what is missing is ML-KEM's secret alone."""
    parties, pairs = consortium()
    exchanged(pairs)
    dh = parties[1].keys.shared(parties[9].keys.public)
    ciphertext = pairs[1].confirmation(9, RUN_KEY)[:CIPHERTEXT_BYTES]
    parts = [CONFIG, ROSTER, struct.pack("<2Q", 1, 9), parties[1].keys.public, parties[9].keys.public, ciphertext]
    others = [bytes(32), dh, MLKEM768PrivateKey.generate().decapsulate(ciphertext)]
    assert pairs[9].secrets[1] not in {written_down(b"afml hybrid pair v1", guess, dh, parts) for guess in others}
    opener = parties[9].keys.kem
    assert opener is not None
    right = opener.decapsulate(ciphertext)
    assert pairs[9].secrets[1] == written_down(b"afml hybrid pair v1", right, dh, parts)
    assert pairs[9].secrets[1] != written_down(b"afml hybrid pair v1", right, bytes(32), parts)  # nor ML-KEM's alone


def test_pairs_are_never_shown_nor_pickled() -> None:
    _, pairs = consortium()
    assert repr(pairs[2]) == "Pairs(node=2, peers=[1, 5, 9])"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(pairs[2])
