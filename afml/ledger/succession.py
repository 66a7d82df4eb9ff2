"""A ledger passes from one signing key to the next without losing its past.

The old key signs a proposal that names the new one; a majority of the other institutions vouch for it, each
after it has asked by another way than the key whether it is meant; the entry that holds all of this is the
first whose head the new key signs. Who stole the old key has no vouchers, and who was not asked does not
believe the new key. People keep their tokens: person.key is none of the keys that change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from afml.core.config import Settings, canonical_json
from afml.core.errors import IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.log import Log
from afml.ledger.witness import Witness
from crypto.public import signing

HEX = r"^([0-9a-f]{2})*$"
KIND = "succession"


class Proposal(Settings):
    """That a new key shall sign a ledger, signed by the old one. Keys, root and signature are hex."""

    origin: str
    old_key: str = Field(pattern=HEX)
    new_key: str = Field(pattern=HEX)
    size: int = Field(ge=0, description="entries of the ledger when it was made")
    root: str = Field(pattern=HEX)
    signature: str = Field(default="", pattern=HEX)

    def message(self, voucher: str = "") -> bytes:
        """What the old key signs; with the name of a voucher, what that institution signs."""
        plain = self.model_dump(exclude={"signature"}) | {"voucher": voucher}
        return b"afml/v1/succession\n" + canonical_json(plain)

    def require_signed(self) -> None:
        """Refuse a proposal that the old key has not signed.

        Raises:
            IntegrityError: Likewise.
        """
        where = f"proposal of {self.origin}"
        signing.verify(bytes.fromhex(self.old_key), self.message(), bytes.fromhex(self.signature), where=where)


class Vouch(Settings):
    """One institution's word for a proposal."""

    origin: str
    key: str = Field(pattern=HEX)
    signature: str = Field(pattern=HEX)


class Handover(Settings):
    """An entry of this kind, shown to somebody who holds the head above it."""

    body: str = Field(pattern=HEX)
    index: int = Field(ge=0)
    proof: tuple[Annotated[str, Field(pattern=HEX)], ...]


def propose(ledger: Log, new_key: bytes) -> Proposal:
    """Propose that `new_key` signs the ledger from now on; signed by its present key."""
    leaves = ledger.leaves()
    old = signing.public_bytes(ledger.key).hex()
    draft = Proposal(
        origin=ledger.origin, old_key=old, new_key=new_key.hex(), size=len(leaves), root=tree.root_of(leaves).hex()
    )
    return draft.model_copy(update={"signature": signing.sign(ledger.key, draft.message()).hex()})


def vouch(ledger: Log, proposal: Proposal) -> Vouch:
    """Vouch for a proposal of another institution.

    Raises:
        IntegrityError: It is not signed by the key that this institution knows, or is of an older ledger than it saw.
    """
    proposal.require_signed()
    known = Witness(ledger).known(proposal.origin)
    if known is None or known.key.hex() != proposal.old_key:
        raise IntegrityError(
            "proposes a successor to a key that signed nothing seen here",
            where=proposal.origin,
            cure="take part in a run with that institution first, or refuse",
        )
    if proposal.size < known.head.size:
        problem = f"is made from {proposal.size} entries, and {known.head.size} were seen: it was rolled back"
        raise IntegrityError(problem, where=proposal.origin, cure="refuse, and ask that institution")
    signature = signing.sign(ledger.key, proposal.message(ledger.origin))
    return Vouch(origin=ledger.origin, key=signing.public_bytes(ledger.key).hex(), signature=signature.hex())


def succeed(
    ledger: Log, proposal: Proposal, vouches: Sequence[Vouch], others: Mapping[str, bytes], key: Ed25519PrivateKey
) -> int:
    """Enter a vouched proposal; from here on `key` signs the ledger, and the old key opens it no more.

    Args:
        ledger: Opened with the old key.
        proposal: What it proposed.
        vouches: Of other institutions.
        others: Origin -> key of the other members of the roster.
        key: The new signing key.

    Returns:
        Index of the entry.

    Raises:
        IntegrityError: It is another ledger's proposal, for another key, or too few vouch for it.
    """
    proposal.require_signed()
    with ledger.transaction():
        leaves = ledger.leaves()
        stated = (proposal.origin, proposal.old_key, proposal.root)
        size = min(proposal.size, len(leaves))
        own = (ledger.origin, signing.public_bytes(ledger.key).hex(), tree.root_of(leaves[:size]).hex())
        if stated != own or proposal.new_key != signing.public_bytes(key).hex():
            raise IntegrityError("is of another ledger or key", where="proposal", cure="run `afml ledger propose` anew")
        require_majority(proposal, vouches, others)
        body = {
            "kind": KIND,
            **proposal.model_dump(mode="json", exclude={"origin"}),
            "others": len(others),
            "vouches": [one.model_dump(mode="json") for one in vouches],
        }
        old, ledger.key = ledger.key, key
        try:
            index, _, _ = ledger.add(body, {})
            present = "UPDATE meta SET value = ? WHERE name = 'key'"
            ledger.database.execute(present, (proposal.new_key,))
        except BaseException:
            ledger.key = old
            raise
    return index


def require_majority(proposal: Proposal, vouches: Sequence[Vouch], voters: Mapping[str, bytes]) -> None:
    """Refuse a proposal that no majority of `voters` (origin -> key) vouches for.

    Raises:
        IntegrityError: Says how many are missing.
    """
    found = set()
    for one in vouches:
        key = voters.get(one.origin)
        if key is None or key.hex() != one.key or one.origin == proposal.origin:
            continue
        where = f"vouch of {one.origin}"
        signing.verify(key, proposal.message(one.origin), bytes.fromhex(one.signature), where=where)
        found.add(one.origin)
    if 2 * len(found) <= len(voters):
        raise IntegrityError(
            f"{len(found)} of {len(voters)} other institutions vouch for its new key, and a majority must",
            where=proposal.origin,
            cure="give them the proposal, and each file that `afml ledger vouch` makes with --vouch",
        )


def handovers(ledger: Log, size: int) -> list[Handover]:
    """All successions of a ledger, with proofs of inclusion in its first `size` entries."""
    leaves, found = ledger.leaves()[:size], []
    since = max((index for index, _ in ledger.names()), default=-1)  # those before are of another name
    query = "SELECT idx, body FROM entries WHERE kind = ? AND idx < ? AND idx > ? ORDER BY idx"
    for index, body in ledger.database.execute(query, (KIND, size, since)):
        proof = tuple(step.hex() for step in tree.inclusion_proof(leaves, index))
        found.append(Handover(body=body.hex(), index=index, proof=proof))
    return found


def require_key(
    ledger: Log, origin: str, note: str, public: bytes, shown: Sequence[Handover], members: Mapping[str, bytes]
) -> None:
    """Refuse a key on the roster that has not inherited the ledger it stands for there.

    Args:
        ledger: Of the institution that judges.
        origin: The ledger in question.
        note: Its newest head, signed by `public`.
        public: The key that the roster gives it.
        shown: The successions that its owner shows.
        members: Origin -> key of the roster's members. Those that this institution has met, and itself, vote; where
            it has never met `origin`, there is no past to lose, and the founding key's own word is enough.

    Raises:
        IntegrityError: The key is not the known one, and no vouched succession leads to it.
    """
    witness = Witness(ledger)
    known = witness.known(origin)
    if (known.key if known else None) == public or (known is None and notes.origin_of(public) == origin):
        return
    head = notes.verify(note, public)
    met = {one.head.origin: one.key for one in witness.all_known()} | {ledger.origin: signing.public_bytes(ledger.key)}
    voters = {name: key for name, key in met.items() if name in members and name != origin}
    key = known.key if known else None
    for handover in shown:
        proposal, vouches = _read(origin, handover, head)
        old = bytes.fromhex(proposal.old_key)
        if key is None and notes.origin_of(old) == origin:
            key = old
        if key != old:
            continue  # of before the key that is known
        proposal.require_signed()
        if known is not None:
            require_majority(proposal, vouches, voters)
        key = bytes.fromhex(proposal.new_key)
    if key != public:
        raise IntegrityError(
            "is signed by a key that has not inherited it from the one that is known",
            where=origin,
            cure="ask that institution to pass it on with `afml ledger succeed`",
        )


def _read(origin: str, handover: Handover, head: notes.Checkpoint) -> tuple[Proposal, list[Vouch]]:
    raw = bytes.fromhex(handover.body)
    proof = [bytes.fromhex(step) for step in handover.proof]
    if not tree.included(tree.leaf_hash(raw), handover.index, head.size, proof, head.root):
        raise IntegrityError("shows a succession that is not in its ledger", where=origin)
    try:
        body = json.loads(raw)
        stated = {name: body[name] for name in ("old_key", "new_key", "size", "root", "signature")}
        vouches = [Vouch.model_validate(one) for one in body["vouches"]]
        if body["kind"] != KIND:
            raise ValueError
        return Proposal(origin=origin, **stated), vouches
    except (ValueError, KeyError, TypeError):
        raise IntegrityError("shows a succession that cannot be read", where=origin) from None
