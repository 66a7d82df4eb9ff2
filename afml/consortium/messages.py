"""What the signatures of the round protocol are taken over: one domain-separated byte string per message."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from afml.consortium.attempt import Attempt
from afml.core.config import canonical_json


def _message(kind: str, **fields: object) -> bytes:
    plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}
    return f"afml/v1/{kind}\n".encode() + canonical_json(plain)


def enrolment(run: str, config: bytes, node: int, pad_key: bytes, lease: bytes) -> bytes:
    """A node binds its pad key to its identity for one run, and says which process speaks for it from now on."""
    return _message("enrolment", run=run, config=config, node=node, pad_key=pad_key, lease=lease)


def closed_enrolment(run: str, config: bytes, nodes: Sequence[int]) -> bytes:
    """The aggregator says for good who is in a run: nobody else will be."""
    return _message("closed-enrolment", run=run, config=config, nodes=list(nodes))


def ready(run: str, config: bytes, attempt: Attempt, node: int, model: bytes, lease: bytes) -> bytes:
    """A node agrees to take part in one attempt of a round, from the model whose keyed digest is `model`.

    By the process with the nonce `lease`, and no other one.
    """
    place = {"round": attempt.round, "attempt": attempt.number}
    return _message("ready", run=run, config=config, **place, node=node, model=model, lease=lease)


def leave(run: str, config: bytes, node: int, reason: int) -> bytes:
    """A node leaves a run for good; `reason` is a number of the wire's `Reason`."""
    return _message("leave", run=run, config=config, node=node, reason=reason)


def refusal(run: str, config: bytes, attempt: Attempt, node: int, sum_digest: bytes) -> bytes:
    """A node leaves a run because the sum of an attempt, of this SHA-256, is not that of what its nodes encrypted."""
    return _message(
        "refusal", run=run, config=config, round=attempt.round, attempt=attempt.number, node=node, sum=sum_digest
    )


def decline(run: str, config: bytes, attempt: Attempt, node: int) -> bytes:
    """A node gives up an attempt whose cohort it is in."""
    return _message("decline", run=run, config=config, round=attempt.round, attempt=attempt.number, node=node)


@dataclass(frozen=True)
class LetterText:
    """What one signature under a letter covers beside the run, its sender and its subject.

    Attributes:
        common: SHA-256 of the part that every recipient gets.
        root: Of the RFC 6962 tree over `own_part` of every recipient, in the letter's order.
        count: Recipients.
    """

    common: bytes
    root: bytes
    count: int


def letter(run: str, config: bytes, sender: int, subject: str, text: LetterText) -> bytes:
    """A letter from one node to several others."""
    return _message(
        "letter", run=run, config=config, sender=sender, subject=subject,
        common=text.common, own=text.root, count=text.count,
    )  # fmt: skip


def own_part(recipient: int, body: bytes) -> bytes:
    """What a letter says to one recipient alone: a leaf of the tree that its signature covers."""
    return recipient.to_bytes(4, "big") + body


def sealed_part(run: str, config: bytes, sender: int, recipient: int, subject: str) -> bytes:
    """What the seal of one recipient's part of a letter is bound to."""
    return _message("sealed", run=run, config=config, sender=sender, recipient=recipient, subject=subject)


def model_digest(run: str, config: bytes, round_number: int, node: int, digest: bytes) -> bytes:
    """A node's keyed digest of the model after a round."""
    return _message("model-digest", run=run, config=config, round=round_number, node=node, digest=digest)


def order(run: str, config: bytes, what: str, number: int, seconds: float, by: str) -> bytes:
    """The coordinator or the aggregator orders something about a run under way (`afml.consortium.orders`)."""
    return _message("order", run=run, config=config, what=what, number=number, seconds=seconds, by=by)


def run_config(config: bytes) -> bytes:
    """The coordinator approves a run configuration (its 32-byte digest)."""
    return _message("run-config", config=config)


def node_card(card: bytes) -> bytes:
    """A node declares its site panel and its enrolment count (canonical JSON of the card)."""
    return _message("node-card", card=hashlib.sha256(card).digest())


def party_request(request: bytes) -> bytes:
    """A party asks to be put on a roster, or for a new certificate (canonical JSON of the request)."""
    return _message("party-request", request=hashlib.sha256(request).digest())


def key_change(founder: bytes, key: bytes) -> bytes:
    """An institution's signing key names the one that follows it; `founder` is the first of all."""
    return _message("key-change", founder=founder, key=key)


def certificates_since(consortium: str, party: str, since: int) -> bytes:
    """The coordinator says from when on (Unix seconds) a party's certificates count."""
    return _message("certificates-since", consortium=consortium, party=party, since=since)


def roster_countersignature(roster: bytes, node: int) -> bytes:
    """A member agrees that a version of the roster (its 32-byte digest) follows the one that it is on."""
    return _message("roster-countersignature", roster=roster, node=node)


def release_package(manifest: bytes) -> bytes:
    """An institution signs what the files of a released package are (canonical JSON of the manifest)."""
    return _message("release-package", manifest=hashlib.sha256(manifest).digest())


def release_publication(publication: bytes) -> bytes:
    """An institution signs that a package may leave the house (canonical JSON of its publication)."""
    return _message("release-publication", publication=hashlib.sha256(publication).digest())
