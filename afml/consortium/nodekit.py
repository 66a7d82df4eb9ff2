"""A node's kit: its TLS identity, signing key and sealing key, checked against the roster."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from afml.consortium import kit
from afml.consortium.history import History, load_history
from afml.consortium.request import require_role
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, InputError
from afml.core.files import read_secret, require_file


@dataclass(frozen=True)
class NodeKit:
    """What one institution holds; no key is shown in a repr.

    Attributes:
        node: Its number.
        roster: The consortium: the present version, or that of a run (`under`).
        tls: Its TLS identity.
        signing_key: Signs its messages and its ledger.
        sealing_key: Opens what is sealed for it.
        history: All versions of the roster.
        folder: Where it was loaded from; None in memory alone (tests).
    """

    node: int
    roster: Roster
    tls: kit.TlsIdentity
    signing_key: Ed25519PrivateKey = field(repr=False)
    sealing_key: X25519PrivateKey = field(repr=False)
    history: History
    folder: Path | None = None

    @property
    def origin(self) -> str:
        """Name of this institution's ledger, the same in every consortium."""
        return self.roster.member(self.node).origin

    def under(self, run: RunConfig) -> NodeKit:
        """This kit with the version of the roster that a run was configured under.

        Raises:
            InputError: The kit does not have it, or this institution had other keys then, or was not on it.
        """
        roster, own = self.history.of(run.roster, f"run {run.run}"), self.roster.member(self.node)
        if not any((m.node, m.keys, m.sealing_key) == (own.node, own.keys, own.sealing_key) for m in roster.members):
            raise kit.other_keys(run, roster)
        return replace(self, roster=roster)

    def require_unchanged(self, run: RunConfig) -> None:
        """Refuse to begin a run under a version of the roster of which somebody has gone, or changed keys, since.

        A run that was begun goes on under its version. But a coordinator could sign new ones under an old version, with
        keys that were stolen meanwhile; that somebody joined is no matter.

        Args:
            run: Of the version that this kit is under.

        Raises:
            ConfigError: It enrols such a member.
        """
        now = {member.node: (member.keys, member.sealing_key) for member in self.history.present.members}
        then = {member.node: (member.keys, member.sealing_key) for member in self.roster.members}
        if changed := [node for node in run.nodes if now.get(node) != then.get(node)]:
            raise ConfigError(
                f"is of version {self.roster.version} of the roster; nodes {changed} have gone or changed keys since",
                where=f"run {run.run}",
                cure="have it made anew with `afml configure`",
            )


def load_node_kit(folder: Path, *, now: dt.datetime | None = None) -> NodeKit:
    """Read and check a node's kit; its certificate says which node it is.

    Raises:
        InputError, IntegrityError: A file is missing, malformed, too widely readable, expired, or does not
            belong to the roster's entry of this node; the message names the file and the cure.
    """
    kit.require_kit(folder)
    require_role(folder, "node")
    require_file(folder / kit.ROSTER, "the coordinator's answer", "put it in with `afml keys install FOLDER --kit KIT`")
    history = load_history(folder)
    roster = history.present
    node = _node_of(folder, roster)
    tls = kit.load_tls(folder, roster, f"node/{node}", now=now)
    member = roster.member(node)
    signing_key = kit.load_signing_key(folder, member.signing_key)
    path = folder / kit.SEALING_KEY
    sealing_key = kit.load_private_key(read_secret(path), path)
    if (
        not isinstance(sealing_key, X25519PrivateKey)
        or sealing_key.public_key().public_bytes_raw().hex() != member.sealing_key
    ):
        raise InputError("sealing key is not the one on the roster", where=path, cure="use this node's own kit")
    return NodeKit(node, roster, tls, signing_key, sealing_key, history, folder)


def _node_of(folder: Path, roster: Roster) -> int:
    path = require_file(
        folder / kit.CERTIFICATE, "TLS certificate", "install the coordinator's answer with `afml keys install`"
    )
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = set(names.get_values_for_type(x509.UniformResourceIdentifier))
    except (ValueError, x509.ExtensionNotFound):
        uris = set()
    for member in roster.members:
        if kit.party_uri(roster.consortium, f"node/{member.node}") in uris:
            return member.node
    raise InputError(
        f"certificate names no node of consortium {roster.consortium}",
        where=path,
        cure=kit.CURE,
    )
