"""Provisioning: the coordinator answers requests with a signed roster and certificates, and holds nobody's keys.

`sign` takes every party's request and makes an answer for each: roster.json, roster.sig, ca.pem and tls.pem,
none of them secret. The consortium's certificate authority lies in the coordinator's own kit. What a coordinator
can still do is name parties that it invented itself; docs/THREAT_MODEL.md says what that lets it do.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import kit
from afml.consortium.authority import CERTIFICATE_DAYS, Authority
from afml.consortium.ownkeys import install
from afml.consortium.request import REQUEST, Request, read_request
from afml.consortium.roster import Member, Roster
from afml.core.errors import InputError
from afml.core.files import staged_folder, write_bytes
from crypto.public.signing import sign as signature_of

MOST_NODES = 1024


@dataclass(frozen=True)
class _Coordinator:
    """The coordinator's kit, before there is a roster in it."""

    folder: Path
    request: Request
    key: Ed25519PrivateKey

    @classmethod
    def load(cls, folder: Path) -> _Coordinator:
        kit.require_kit(folder)
        request = read_request(folder / REQUEST)
        if request.role != "coordinator":
            raise InputError(
                f"is the kit of {'an' if request.role == 'aggregator' else 'a'} {request.role}",
                where=folder, cure="make the coordinator's with `afml keys init --role coordinator`",
            )  # fmt: skip
        return cls(folder, request, kit.load_signing_key(folder, request.signing_key))

    @property
    def roster(self) -> Roster | None:
        """The one signed last."""
        return kit.load_roster(self.folder) if (self.folder / kit.ROSTER).exists() else None


def sign(
    requests: Sequence[Path], coordinator: Path, out: Path, *, consortium: str = "", days: int = CERTIFICATE_DAYS
) -> Roster:
    """Sign a roster of all who ask to be on it, and make each party's answer.

    Institutions that were on the coordinator's last roster keep their numbers; whoever does not ask again is off.

    Args:
        requests: Files of all nodes and the aggregator; the coordinator's own is in its kit.
        coordinator: The coordinator's kit; it receives the new roster and, the first time, the authority.
        out: Folder for the answers `node-1`, ..., `aggregator`; it appears whole or not at all.
        consortium: Its name; by default that of the last roster.
        days: Validity of the certificates.

    Raises:
        InputError: `out` exists, the kit is another's or another consortium's, or a request is malformed, a
            second one of the same party, or lacks.
        IntegrityError: A request is not signed by the keys that it names.
    """
    party = _Coordinator.load(coordinator)
    asked = [read_request(path) for path in requests]
    _check(asked, requests, party, days)
    known = party.roster
    name = _consortium(consortium, known, coordinator)
    _require_new(out)
    numbers = _numbers([one for one in asked if one.role == "node"], known)
    if (coordinator / kit.CA_KEY).exists():
        authority = Authority.load(coordinator, name)
    else:
        authority = Authority.make(name)
        authority.save(coordinator)
    roster = Roster(
        consortium=name,
        coordinator_key=party.request.signing_key,
        aggregator_key=next(one.signing_key for one in asked if one.role == "aggregator"),
        members=tuple(
            Member(
                node=node,
                name=one.name,
                signing_key=one.signing_key,
                sealing_key=one.sealing_key,
                lineage=one.lineage,
            )
            for node, one in sorted(numbers.items())
        ),
        authority=authority.digest().hex(),
    )
    signed = _Signed(roster, signature_of(party.key, kit.roster_message(roster)), authority, days)
    with staged_folder(out) as staged:
        for one in asked:
            _answer(staged, signed, one)
        with tempfile.TemporaryDirectory() as own:
            install(_answer(Path(own), signed, party.request), coordinator)
    return roster


def renew(
    requests: Sequence[Path], coordinator: Path, out: Path, *, days: int = CERTIFICATE_DAYS
) -> dict[str, Request]:
    """Certify new TLS keys of parties on the roster; nobody else is touched.

    Args:
        requests: Of these parties.
        coordinator: The coordinator's kit.
        out: Folder for the answers, named by party; it appears whole or not at all.
        days: Validity of the certificates.

    Returns:
        Party -> its request.

    Raises:
        InputError: `out` exists, the kit has no roster, or a request is malformed or of nobody on the roster.
        IntegrityError: A request is not signed by the keys that it names.
    """
    _Coordinator.load(coordinator)
    roster = kit.load_roster(coordinator)
    _check_days(days)
    _require_new(out)
    authority = Authority.load(coordinator, roster.consortium)
    signed = _Signed(roster, (coordinator / kit.ROSTER_SIGNATURE).read_bytes(), authority, days)
    asked = {path: read_request(path) for path in requests}
    parties = {signed.party(one, path): one for path, one in asked.items()}
    if len(parties) != len(asked):
        raise InputError("two requests are of one party", where=requests[-1], cure="give its newest one")
    with staged_folder(out) as staged:
        for one in asked.values():
            _answer(staged, signed, one)
    return parties


def load_coordinator_key(folder: Path) -> Ed25519PrivateKey:
    """The coordinator's key for signing run configurations.

    Raises:
        InputError, IntegrityError: As `afml.consortium.kit.load_signing_key`.
    """
    kit.require_kit(folder)
    return kit.load_signing_key(folder, kit.load_roster(folder).coordinator_key)


@dataclass(frozen=True)
class _Signed:
    """What answers are made of."""

    roster: Roster
    signature: bytes
    authority: Authority
    days: int

    def party(self, one: Request, where: object = "") -> str:
        """What a certificate calls whoever asks; his keys must be those on the roster."""
        if one.role == "node":
            for member in self.roster.members:
                if (member.name, member.signing_key, member.sealing_key) == (
                    one.name, one.signing_key, one.sealing_key,
                ):  # fmt: skip
                    return f"node/{member.node}"
        elif one.signing_key == (
            self.roster.aggregator_key if one.role == "aggregator" else self.roster.coordinator_key
        ):
            return one.role
        raise InputError(
            f"the roster names no {one.role} {one.name} by these keys",
            where=where,
            cure="sign a new roster with `afml provision sign`",
        )

    def write(self, folder: Path, party: str, one: Request) -> None:
        """The public files of a party."""
        certificate = self.authority.certify(party, one.tls_key, one.hosts, self.days)
        write_bytes(folder / kit.CA, self.authority.pem())
        write_bytes(folder / kit.CERTIFICATE, certificate)
        write_bytes(folder / kit.ROSTER, self.roster.canonical())
        write_bytes(folder / kit.ROSTER_SIGNATURE, self.signature)


def _answer(staged: Path, signed: _Signed, one: Request) -> Path:
    party = signed.party(one)
    folder = staged / party.replace("/", "-")
    signed.write(folder, party, one)
    return folder


def _check(asked: Sequence[Request], paths: Sequence[Path], party: _Coordinator, days: int) -> None:
    roles = Counter(one.role for one in asked)
    if roles["coordinator"]:
        raise InputError("a coordinator's request is not for signing", where="requests", cure="it is in --kit already")
    if roles["aggregator"] != 1:
        raise InputError(
            f"{roles['aggregator']} requests of an aggregator", where="requests",
            cure="give the one that `afml keys init --role aggregator` made",
        )  # fmt: skip
    if not 1 <= roles["node"] <= MOST_NODES:
        raise InputError(f"{roles['node']} requests of nodes", where="requests", cure=f"give 1 to {MOST_NODES}")
    _check_days(days)
    values: tuple[tuple[str, Callable[[Request], object]], ...] = (
        ("name", lambda one: one.name),
        ("founding key", lambda one: one.founder),
        ("signing key", lambda one: one.signing_key),
        ("TLS key", lambda one: one.tls_key.public_numbers()),
    )
    for what, value in values:
        seen = {value(party.request)} if what != "name" else set()
        for one, path in zip(asked, paths, strict=True):
            if value(one) in seen:
                raise InputError(f"repeats the {what} of another party", where=path, cure="give one request per party")
            seen.add(value(one))


def _check_days(days: int) -> None:
    if not 1 <= days <= 3650:
        raise InputError(f"certificates for {days} days", where="--days", cure="use 1 to 3650")


def _require_new(out: Path) -> None:
    if out.exists():
        raise InputError("already exists", where=out, cure="choose another folder")


def _consortium(name: str, known: Roster | None, coordinator: Path) -> str:
    wanted = name or (known.consortium if known else "")
    if known is not None and wanted != known.consortium:
        raise InputError(
            f"kit belongs to consortium {known.consortium}",
            where=coordinator,
            cure="make one for the other with `afml keys init --like`",
        )
    if not wanted.strip() or len(wanted) > 40 or not wanted.isprintable():
        raise InputError("a consortium's name has 1 to 40 printable characters", where="--consortium")
    return wanted


def _numbers(asked: Sequence[Request], known: Roster | None) -> dict[int, Request]:
    """Number -> request: the old number of whom the last roster had, the next free one for the others in order."""
    old = {member.origin: member.node for member in known.members} if known else {}
    numbers = {old[one.origin]: one for one in asked if one.origin in old}
    highest = max(old.values(), default=0)
    free = iter([*range(highest + 1, MOST_NODES + 1), *sorted(set(range(1, highest)) - set(old.values()))])
    for one in asked:
        if one.origin not in old:
            number = next(free, None)
            if number is None:
                raise InputError("every number is taken", where="requests", cure="leave out who has gone first")
            numbers[number] = one
    return numbers
