"""What a verifier brings from outside a ledger, as an auditor gives it: keys or a roster, a transcript, kept heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from afml.consortium.roster import Roster
from afml.core.errors import InputError
from afml.core.files import require_file
from afml.ledger import transcript as transcripts
from afml.ledger.checkpoint import origin_of
from afml.ledger.findings import Verification
from afml.ledger.verify import Evidence, verify

_KEY_BYTES = 32


@dataclass(frozen=True)
class KeyOptions:
    """Where public keys come from: a roster, or their hex.

    Attributes:
        roster: The consortium's; gives all keys.
        node: Whose ledger it is; None: from the ledger's name, where the key is given.
        key: The node's public key, hex; stands above the roster's.
        aggregator_key: The aggregator's, hex; stands above the roster's.
    """

    roster: Path | None = None
    node: int | None = None
    key: str | None = None
    aggregator_key: str | None = None

    def resolve(self, ledger: Path) -> Keys:
        """The keys themselves.

        Args:
            ledger: For messages.

        Raises:
            InputError: A text is no key, the roster lacks the node, or nothing gives the node's key.
        """
        peers: dict[str, bytes] = {}
        signer, summing = _key(self.key, "--key"), _key(self.aggregator_key, "--aggregator-key")
        if self.roster is not None:
            roster = Roster.load(self.roster)
            if self.node is None:
                raise InputError("needs --node to pick the institution", where="--roster")
            try:
                signer = signer or bytes.fromhex(roster.member(self.node).signing_key)
            except KeyError:
                raise InputError(f"has no node {self.node}", where=self.roster) from None
            summing = summing or bytes.fromhex(roster.aggregator_key)
            peers = {
                origin_of(roster.consortium, member.node): bytes.fromhex(member.signing_key)
                for member in roster.members
                if member.node != self.node
            }
        if signer is None:
            raise InputError(
                "the node's public key must come from outside the ledger",
                where=ledger,
                cure="give --roster and --node, or --key",
            )
        return Keys(signer, summing, peers)


@dataclass(frozen=True)
class Keys:
    """Raw Ed25519 public keys.

    Attributes:
        signer: Of the node whose ledger it is.
        aggregator: Of the aggregator, where it is known.
        peers: Origin name -> key of institutions that countersign.
    """

    signer: bytes
    aggregator: bytes | None = None
    peers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """What others hold about a ledger, in files.

    Attributes:
        transcripts: The aggregator's.
        heads: Signed heads that others have kept.
        countersignatures: Institutions that must have countersigned some head.
    """

    transcripts: tuple[Path, ...] = ()
    heads: tuple[Path, ...] = ()
    countersignatures: int = 0


def verify_with(ledger: Path, options: KeyOptions, files: Files) -> Verification:
    """Verify a ledger folder; see `afml.ledger.verify`.

    Raises:
        InputError: A key or a file is missing or wrong.
    """
    keys = options.resolve(ledger)
    rounds: list[transcripts.PublishedRound] = []
    for path in files.transcripts:
        if keys.aggregator is None:
            raise InputError("needs the aggregator's key", where=path, cure="give --roster or --aggregator-key")
        rounds += transcripts.read(path, keys.aggregator)
    heads = [require_file(path, "signed head").read_text(encoding="utf-8") for path in files.heads]
    evidence = Evidence(rounds, heads, keys.peers, files.countersignatures)
    return verify(ledger, key=keys.signer, node=options.node, evidence=evidence)


def _key(text: str | None, option: str) -> bytes | None:
    if text is None:
        return None
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != _KEY_BYTES:
        raise InputError("is not the hex of a 32-byte public key", where=option)
    return value
