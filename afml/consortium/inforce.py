"""Which certificates of a party count: none from before the time that the coordinator says, or that one was seen from.

A certificate that was renewed is followed by one that begins later; one that was revoked is followed by none. So one
number a party is enough: the time before which its certificates began in vain. The coordinator signs it, each party's
by itself (`certificates.json` in a kit), and it only grows: whoever holds several takes the latest. Whoever meets a
later certificate of a party refuses the earlier ones from then on, also where nobody has sent it anything.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from afml.consortium import messages
from afml.consortium.kit import CERTIFICATE
from afml.consortium.roster import Roster
from afml.core.config import Settings, canonical_json
from afml.core.errors import AfmlError, TransportError
from afml.core.files import write_bytes
from afml.core.logging import get_logger
from crypto.public.signing import sign, verify

CERTIFICATES = "certificates.json"
SOON_S = 30 * 86_400
"""Seconds before its end from which on a certificate is spoken of, once a day."""
_AGAIN_S = 86_400
_KEPT = 4096
"""Certificates whose time is remembered at a time."""


class Since(Settings):
    """From when on a party's certificates count.

    Attributes:
        party: "node/3", "aggregator" or "coordinator".
        since: Unix seconds: its certificates that began earlier are refused.
        signature: The coordinator's, hex.
    """

    party: str = Field(pattern=r"^(node/[1-9][0-9]{0,3}|aggregator|coordinator)$")
    since: int = Field(ge=0)
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")

    @classmethod
    def signed(cls, key: Ed25519PrivateKey, roster: Roster, party: str, since: int) -> Since:
        """The coordinator's word."""
        message = messages.certificates_since(roster.consortium, party, since)
        return cls(party=party, since=since, signature=sign(key, message).hex())

    def check(self, roster: Roster, where: object) -> None:
        """Whether the coordinator of a consortium has signed it.

        Raises:
            IntegrityError: It has not.
        """
        message = messages.certificates_since(roster.consortium, self.party, self.since)
        verify(bytes.fromhex(roster.coordinator_key), message, bytes.fromhex(self.signature), where=where)


class _File(Settings):
    certificates: tuple[Since, ...]


def load_since(folder: Path, roster: Roster) -> dict[str, Since]:
    """What stands in a kit or an answer: party -> from when on; nothing where there is no such file.

    Raises:
        InputError: It is malformed.
        IntegrityError: The coordinator has not signed one of them.
    """
    path = folder / CERTIFICATES
    if not path.exists():
        return {}
    found = _File.load(path).certificates
    for one in found:
        one.check(roster, path)
    return latest(found)


def latest(entries: Iterable[Since]) -> dict[str, Since]:
    """The latest of each party."""
    found: dict[str, Since] = {}
    for one in entries:
        if one.party not in found or one.since > found[one.party].since:
            found[one.party] = one
    return found


def since_file(entries: Mapping[str, Since]) -> bytes:
    """The file."""
    return _File(certificates=tuple(entries[party] for party in sorted(entries))).canonical()


def beginning(certificate: x509.Certificate) -> int:
    """When a certificate began to be valid, Unix seconds."""
    return int(certificate.not_valid_before_utc.timestamp())


def ends(kit: Path | None, otherwise: float) -> float:
    """When the certificate ends that lies in a kit now, Unix seconds; `otherwise` where none can be read."""
    try:
        found = x509.load_pem_x509_certificate((kit / CERTIFICATE).read_bytes()) if kit else None
    except (OSError, ValueError):
        found = None
    return found.not_valid_after_utc.timestamp() if found else otherwise


class InForce:
    """Tells whether a certificate that a peer shows counts, and in the log, daily, that one of them ends soon.

    Safe for several threads; its file is read when it changes.

    Args:
        kit: Folder of one's kit.
        roster: The consortium.
        seen: File in which it is kept what was met, so that a restart does not forget it.
        clock: Unix seconds.

    Raises:
        InputError: The kit's file of what counts is malformed.
        IntegrityError: The coordinator has not signed all of it.
    """

    def __init__(self, kit: Path, roster: Roster, seen: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._told = clock, dict[str, float]()
        self._path, self._roster, self._seen_path = kit / CERTIFICATES, roster, seen
        self._lock = threading.Lock()
        self._stamp: object = None
        self._stated = {party: one.since for party, one in load_since(kit, roster).items()}
        self._times: dict[bytes, tuple[int, int]] = {}
        self._own = _Own(kit)
        self._seen: dict[str, int] = _seen_in(seen)

    def check(self, party: str, pem: bytes) -> None:
        """Take a certificate of a party, whose name and issuer were checked already.

        Args:
            party: Whom it names.
            pem: It.

        Raises:
            TransportError: A later one is known, or it was revoked.
        """
        with self._lock:
            self._reread()
            begins, ends = self._time(pem)
            self._announce(party, ends)
            if begins < max(self._stated.get(party, 0), self._seen.get(party, 0)):
                raise _counts_no_more(party, begins)
            if begins > self._seen.get(party, 0):
                self._seen[party] = begins
                with contextlib.suppress(OSError):  # a disk that takes nothing: it is met again after a restart
                    write_bytes(self._seen_path, canonical_json(self._seen))

    def check_own(self, party: str) -> None:
        """Go on only where the certificate counts that lies in one's own kit now.

        Raises:
            TransportError: The coordinator has revoked it.
        """
        with self._lock:
            self._reread()
            begins = self._own.begins
            if begins is not None and begins < self._stated.get(party, 0):
                raise _counts_no_more(party, begins)

    def since(self, party: str) -> int:
        """Unix seconds: certificates of a party that began earlier count no more."""
        with self._lock:
            self._reread()
            return max(self._stated.get(party, 0), self._seen.get(party, 0))

    def announce(self, party: str, pem: bytes) -> None:
        """Say in the log that a certificate ends soon, where it does: of oneself, too."""
        with self._lock:
            self._announce(party, self._time(pem)[1])

    def _announce(self, party: str, ends: int) -> None:
        left, now = ends - self._clock(), self._clock()
        if left < SOON_S and now - self._told.get(party, 0.0) >= _AGAIN_S:
            self._told[party] = now
            until = dt.datetime.fromtimestamp(ends, dt.UTC)
            problem = (
                f"the certificate of {party} ends on {until:%Y-%m-%d}; that party renews it with `afml keys renew`"
            )
            get_logger().warning("ends soon", problem=problem)

    def _time(self, pem: bytes) -> tuple[int, int]:
        """When it begins and ends, Unix seconds."""
        found = self._times.get(pem)
        if found is None:
            if len(self._times) >= _KEPT:
                self._times.clear()
            certificate = x509.load_pem_x509_certificate(pem)
            ends = int(certificate.not_valid_after_utc.timestamp())
            found = self._times[pem] = beginning(certificate), ends
        return found

    def _reread(self) -> None:
        """What the kit says now; a file that cannot be read any more changes nothing of what is known."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp == self._stamp:
                return
            stated = {party: one.since for party, one in load_since(self._path.parent, self._roster).items()}
        except (OSError, AfmlError):
            return
        for party, since in stated.items():
            self._stated[party] = max(since, self._stated.get(party, 0))
        self._stamp = stamp


class _Own:
    """When the certificate of a kit began, Unix seconds; None where none can be read. Read when it changes."""

    def __init__(self, kit: Path) -> None:
        self._path = kit / CERTIFICATE
        self._stamp: tuple[int, int] | None = None
        self._begins: int | None = None

    @property
    def begins(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            found = self._path.stat()
            if (stamp := (found.st_mtime_ns, found.st_ino)) != self._stamp:
                self._begins = beginning(x509.load_pem_x509_certificate(self._path.read_bytes()))
                self._stamp = stamp
        return self._begins


def _counts_no_more(party: str, begins: int) -> TransportError:
    began = dt.datetime.fromtimestamp(begins, dt.UTC)
    return TransportError(
        f"the certificate of {party} that began on {began:%Y-%m-%d %H:%M:%S} UTC was renewed or revoked",
        where="TLS peer",
        cure="install the coordinator's newest answer with `afml keys install`, or ask for one with `afml keys renew`",
    )


def _seen_in(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): int(v) for k, v in found.items() if isinstance(v, int)} if isinstance(found, dict) else {}
