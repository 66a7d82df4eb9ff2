"""What the signatures of the round protocol are taken over: one domain-separated byte string per message."""

from __future__ import annotations

import hashlib

from afml.core.config import canonical_json


def _message(kind: str, **fields: object) -> bytes:
    plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}
    return f"afml/v1/{kind}\n".encode() + canonical_json(plain)


def enrolment(run: str, config: bytes, node: int, pad_key: bytes) -> bytes:
    """A node binds its pad key to its identity for one run."""
    return _message("enrolment", run=run, config=config, node=node, pad_key=pad_key)


def ready(run: str, config: bytes, round_number: int, attempt: int, node: int) -> bytes:
    """A node agrees to take part in one attempt of a round."""
    return _message("ready", run=run, config=config, round=round_number, attempt=attempt, node=node)


def letter(run: str, config: bytes, sender: int, recipient: int, subject: str, body: bytes) -> bytes:
    """A sealed letter from node to node; `body` is the sealed bytes."""
    body_digest = hashlib.sha256(body).digest()
    return _message(
        "letter", run=run, config=config, sender=sender, recipient=recipient, subject=subject, body=body_digest
    )


def model_digest(run: str, config: bytes, round_number: int, node: int, digest: bytes) -> bytes:
    """A node's keyed digest of the model after a round."""
    return _message("model-digest", run=run, config=config, round=round_number, node=node, digest=digest)


def run_config(config: bytes) -> bytes:
    """The coordinator approves a run configuration (its 32-byte digest)."""
    return _message("run-config", config=config)


def node_card(card: bytes) -> bytes:
    """A node declares its site panel and its enrolment count (canonical JSON of the card)."""
    return _message("node-card", card=hashlib.sha256(card).digest())
