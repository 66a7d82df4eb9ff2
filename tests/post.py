"""Letters as an aggregator hands them on, made the slow and obvious way: what one recipient gets of a letter."""

from __future__ import annotations

import hashlib

from afml.consortium.messages import LetterText, letter, own_part
from afml.ledger import tree
from afml.wire import federation_pb2 as wire


def letter_for(header: wire.LetterHeader, common: bytes, node: int) -> wire.Letter | None:
    """Of a letter with this header; None where it is not to this node."""
    leaves = [tree.leaf_hash(own_part(own.recipient, own.body)) for own in header.own]
    for index, own in enumerate(header.own):
        if own.recipient == node:
            return wire.Letter(
                sender=header.sender, signature=header.signature, own=own.body, index=index, count=len(leaves),
                root=tree.root_of(leaves), path=tree.inclusion_proof(leaves, index), size=len(common), common=common,
            )  # fmt: skip
    return None


def signed_text(header: wire.LetterHeader, common: bytes) -> bytes:
    """What the sender of a letter signs."""
    leaves = [tree.leaf_hash(own_part(own.recipient, own.body)) for own in header.own]
    text = LetterText(hashlib.sha256(common).digest(), tree.root_of(leaves), len(leaves))
    return letter(header.run, header.config_digest, header.sender, header.subject, text)
