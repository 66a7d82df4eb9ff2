"""Provisioning: the coordinator answers requests with a signed roster and certificates, and holds nobody's keys.

`found` takes every party's request and makes an answer for each: roster.json, roster.sig, ca.pem and tls.pem,
none of them secret. The consortium's certificate authority lies in the coordinator's own kit. What a coordinator
can still do is name parties that it invented itself; docs/THREAT_MODEL.md says what that lets it do. Who joins or goes
later does so by the next version of the roster (`afml.consortium.proposal`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import kit
from afml.consortium.answers import OTHERS, Answers, Coordinator, check_days, member_of, require_new
from afml.consortium.authority import CERTIFICATE_DAYS, Authority
from afml.consortium.history import History, Version, load_history
from afml.consortium.request import Request, read_request
from afml.consortium.roster import Roster
from afml.core.errors import InputError
from afml.core.files import staged_folder
from crypto.public.signing import sign

MOST_NODES = 1024


def found(
    requests: Sequence[Path],
    coordinator: Path,
    out: Path,
    *,
    consortium: str = "",
    days: int = CERTIFICATE_DAYS,
    external: Path | None = None,
) -> Roster:
    """Sign the first roster, of all who ask to be on it, and make each party's answer.

    Nodes are numbered in the order of their requests. The same requests once more give the same roster, with other
    certificates.

    Args:
        requests: Files of all nodes and the aggregator; the coordinator's own is in its kit.
        coordinator: The coordinator's kit; it receives the roster and the authority.
        out: Folder for the answers `node-1`, ..., `aggregator`; it appears whole or not at all.
        consortium: Its name.
        days: Validity of the certificates.
        external: Certificate of another authority, which certifies the parties; answers then hold no certificates.

    Raises:
        InputError: `out` exists, the kit is another's or has another roster, or a request is malformed, a second one
            of the same party, or lacks.
        IntegrityError: A request is not signed by the keys that it names.
    """
    party = Coordinator.load(coordinator)
    asked = [read_request(path) for path in requests]
    _check(asked, requests, party, days)
    known = party.history
    name = _consortium(consortium, known.present if known else None, coordinator)
    require_new(out)
    first = known is None and not (coordinator / kit.CA_KEY).exists()
    if external is not None:
        authority = Authority.external(external, name)
    else:
        authority = Authority.make(name) if first else Authority.load(coordinator, name)
    roster = Roster(
        consortium=name,
        coordinator_key=party.request.signing_key,
        aggregator_key=next(one.signing_key for one in asked if one.role == "aggregator"),
        members=tuple(
            member_of(node, one) for node, one in enumerate((one for one in asked if one.role == "node"), start=1)
        ),
        authority=authority.digest().hex(),
    )
    if known is not None and known.present != roster:
        raise InputError(
            "has a roster already",
            where=coordinator,
            cure="propose its next version with `afml consortium add` or `afml consortium remove`",
        )
    if first:
        authority.save(coordinator)
    version = Version(roster=roster, signature=sign(party.key, kit.roster_message(roster)).hex())
    answers = Answers(party, History.begun(version, "roster"), authority, days)
    parties = [answers.certify(one) for one in asked]
    if not (coordinator / kit.CERTIFICATE).exists() and authority.certifies:
        answers.certify(party.request)
    with staged_folder(out) as staged:
        answers.write(staged, parties)
        answers.keep()
    return roster


def renew(
    requests: Sequence[Path], coordinator: Path, out: Path, *, days: int = CERTIFICATE_DAYS
) -> dict[str, Request]:
    """Certify new TLS keys of parties on the roster; their earlier certificates count no more.

    Args:
        requests: Of these parties.
        coordinator: The coordinator's kit.
        out: Folder for the answers, named by party, and one without a certificate for all others; it appears whole or
            not at all.
        days: Validity of the certificates.

    Returns:
        Party -> its request.

    Raises:
        InputError: `out` exists, the kit has no roster, or a request is malformed or of nobody on the roster.
        IntegrityError: A request is not signed by the keys that it names.
    """
    answers = Answers.of(Coordinator.load(coordinator), load_history(coordinator), days)
    require_new(out)
    asked = {path: read_request(path) for path in requests}
    parties = {answers.certify(one, path): one for path, one in asked.items()}
    if len(parties) != len(asked):
        raise InputError("two requests are of one party", where=requests[-1], cure="give its newest one")
    with staged_folder(out) as staged:
        answers.write(staged, [*parties, OTHERS])
        answers.keep()
    return parties


def revoke(party: str, coordinator: Path, out: Path) -> None:
    """From now on no certificate counts that a party has; `renew` gives it one again.

    Args:
        party: "node/3" or "aggregator".
        coordinator: The coordinator's kit.
        out: Folder for the answer to everybody; it appears whole or not at all.

    Raises:
        InputError: `out` exists, the kit has no roster, or nobody is called so.
    """
    history = load_history(coordinator)
    answers = Answers.of(Coordinator.load(coordinator), history)
    require_new(out)
    if party not in ("aggregator", *(f"node/{node}" for node in history.numbers().values())):
        raise InputError("is no party of this consortium", where=party, cure="say node/NUMBER or aggregator")
    answers.revoke(party)
    with staged_folder(out) as staged:
        answers.write(staged, [OTHERS])
        answers.keep()


def load_coordinator_key(folder: Path) -> Ed25519PrivateKey:
    """The coordinator's key for signing run configurations.

    Raises:
        InputError, IntegrityError: As `afml.consortium.kit.load_signing_key`.
    """
    kit.require_kit(folder)
    return kit.load_signing_key(folder, kit.load_roster(folder).coordinator_key)


def _check(asked: Sequence[Request], paths: Sequence[Path], party: Coordinator, days: int) -> None:
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
    check_days(days)
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
