"""Putting the coordinator's answer into a kit: a roster, certificates, and from when on certificates count."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509

from afml.consortium import kit
from afml.consortium.history import Demand, History, load_history
from afml.consortium.inforce import CERTIFICATES, Since, beginning, latest, load_since, since_file
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import NEXT_TLS_KEY
from afml.consortium.request import REQUEST, Request, Role, read_request
from afml.consortium.roster import Roster
from afml.core.errors import InputError, IntegrityError
from afml.core.files import read_secret, require_file, write_bytes, write_secret

_OF_ROSTER = (kit.HISTORY, kit.ROSTER, kit.ROSTER_SIGNATURE)
_PUBLIC = (kit.CA, kit.CERTIFICATE, *_OF_ROSTER)


def install(answer: Path, folder: Path, demand: Demand = "majority") -> Roster:
    """Put the coordinator's answer into a kit, after checking that it answers this kit's request.

    Whatever is wrong with the answer leaves the kit as it was. Repeat it where it was interrupted. A kit that knows a
    later version of the roster keeps it; so does one whose institution has left with a later one, and takes the rest.

    Args:
        answer: Folder with roster.json, roster.sig, ca.pem, where there were changes history.jsonl, and tls.pem where
            a certificate was asked for.
        folder: The kit.
        demand: How many members must have countersigned each version that is new to the kit.

    Returns:
        The version that the kit holds now.

    Raises:
        InputError: A file is missing or wrong; the roster has other keys of this party than the kit, is another
            consortium's or another coordinator's than before; or the certificate is not of the kit's TLS key.
        IntegrityError: The roster is not signed by the coordinator that it names, does not follow the version that
            is in the kit, or is not countersigned as demanded.
    """
    kit.require_kit(folder)
    asked = read_request(folder / REQUEST)
    sent = load_history(answer)
    roster, tls = _later(sent, asked, answer, folder), _certified(answer, folder)
    sent.require_countersigned(roster.version if roster != sent.present else _version(folder), demand, answer)
    source = {
        name: (folder if name in _OF_ROSTER and roster != sent.present else answer) / name
        for name in _PUBLIC
        if not (name == kit.HISTORY and roster.version == 1)
    }
    if not tls:
        source[kit.CERTIFICATE] = folder / kit.CERTIFICATE
        if not source[kit.CERTIFICATE].exists():
            del source[kit.CERTIFICATE]  # another authority's is awaited
    files = {name: require_file(path, "answer").read_bytes() for name, path in source.items()}
    since = latest([*load_since(folder, roster).values(), *load_since(answer, roster).values()])
    files[CERTIFICATES] = since_file(since)  # last: until then the certificate that goes with it is there already
    # What a run will load is loaded here first, beside the kit: the same checks, and no second version of them.
    with tempfile.TemporaryDirectory(prefix=".install.", dir=folder) as draft:
        for name, data in files.items():
            write_bytes(Path(draft) / name, data)
        keys = (
            (kit.SIGNING_KEY, kit.SIGNING_KEY),
            (kit.SEALING_KEY, kit.SEALING_KEY),
            (kit.TLS_KEY, tls or kit.TLS_KEY),
        )
        for name, at in keys:
            (Path(draft) / name).symlink_to(folder.absolute() / at)
        if kit.CERTIFICATE in files:
            _load(Path(draft), roster, asked.role, None if tls else _no_later_than_its_end(Path(draft)))
        if tls:
            _require_in_force(Path(draft), since)
    if tls == NEXT_TLS_KEY:
        write_secret(folder / kit.TLS_KEY, read_secret(folder / NEXT_TLS_KEY))
    first = not (folder / kit.ROSTER).exists()  # a first roster comes last: what is cut off before is done again
    for name in sorted(files, key=lambda name: first and name == kit.ROSTER):
        write_bytes(folder / name, files[name])
    if tls == NEXT_TLS_KEY:
        (folder / NEXT_TLS_KEY).unlink()
    return roster


def install_certificate(path: Path, folder: Path) -> str:
    """Put a certificate of another authority into a kit, after the checks of any load.

    Args:
        path: PEM; the first certificate in it counts.
        folder: The kit, with the roster in it.

    Returns:
        Whom it names.

    Raises:
        InputError: It is not of a TLS key of this kit, not by the authority on the roster, names somebody else, or is
            earlier than one that counts.
    """
    kit.require_kit(folder)
    roster, role = kit.load_roster(folder), read_request(folder / REQUEST).role
    certificate = kit.load_certificate(path, "TLS certificate")
    tls = _key_of(certificate, folder, path)
    with tempfile.TemporaryDirectory(prefix=".install.", dir=folder) as draft:
        for name in (kit.CA, *_OF_ROSTER, CERTIFICATES, kit.SIGNING_KEY, kit.SEALING_KEY):
            if (folder / name).exists():
                (Path(draft) / name).symlink_to((folder / name).absolute())
        (Path(draft) / kit.TLS_KEY).symlink_to((folder / tls).absolute())
        write_bytes(Path(draft) / kit.CERTIFICATE, path.read_bytes())
        _load(Path(draft), roster, role)
        _require_in_force(Path(draft), load_since(folder, roster))
    if tls == NEXT_TLS_KEY:
        write_secret(folder / kit.TLS_KEY, read_secret(folder / NEXT_TLS_KEY))
    write_bytes(folder / kit.CERTIFICATE, path.read_bytes())
    if tls == NEXT_TLS_KEY:
        (folder / NEXT_TLS_KEY).unlink()
    return kit.party_of_peer(kit.uris(certificate), roster)


def _require_in_force(draft: Path, since: Mapping[str, Since]) -> None:
    certificate = kit.load_certificate(draft / kit.CERTIFICATE, "TLS certificate")
    party = kit.party_of_peer(kit.uris(certificate), kit.load_roster(draft))
    if party in since and beginning(certificate) < since[party].since:
        raise InputError(
            "certificate was renewed or revoked",
            where=draft / kit.CERTIFICATE,
            cure="ask for another with `afml keys renew`",
        )


def _load(folder: Path, roster: Roster, role: Role, now: dt.datetime | None = None) -> None:
    if role == "node":
        load_node_kit(folder, now=now)
    elif role == "aggregator":
        kit.load_aggregator_kit(folder, now=now)
    else:
        kit.load_tls(folder, roster, role, now=now)


def _no_later_than_its_end(folder: Path) -> dt.datetime:
    """Now, or when the kit's certificate ended: it needs another one, but not from an answer that brings none."""
    ended = kit.load_certificate(folder / kit.CERTIFICATE, "TLS certificate").not_valid_after_utc
    return min(dt.datetime.now(dt.UTC), ended)


def _version(folder: Path) -> int:
    """The version that a kit holds; of one without a roster the first, which nobody countersigns."""
    return kit.load_roster(folder).version if (folder / kit.ROSTER).exists() else 1


def _later(sent: History, asked: Request, answer: Path, folder: Path) -> Roster:
    """The later of what was sent and what the kit holds, of one history."""
    known = load_history(folder) if (folder / kit.ROSTER).exists() else None
    if known is not None:
        _check_same_coordinator(sent.present, known.present, folder)
    if known is not None and sent.extends(known) and _has_left(asked, sent.present):
        _check_keys(known.present, asked, folder, named=False)
        return known.present  # by which it finishes the runs that it is in
    _check_keys(sent.present, asked, answer, named=known is None)
    if known is None or sent.extends(known):
        return sent.present
    if known.extends(sent):
        return known.present
    raise IntegrityError(
        f"is another history than the one of version {known.present.version} in the kit",
        where=answer / kit.ROSTER,
        cure="compare the fingerprints of `afml consortium show` with the others",
    )


def _has_left(asked: Request, roster: Roster) -> bool:
    return asked.role == "node" and asked.origin not in {member.origin for member in roster.members}


def _check_same_coordinator(roster: Roster, known: Roster, folder: Path) -> None:
    if (known.consortium, known.coordinator_key) != (roster.consortium, roster.coordinator_key):
        raise InputError(
            f"kit belongs to consortium {known.consortium} and its coordinator",
            where=folder,
            cure="make one for the other with `afml keys init --like`",
        )


def _check_keys(roster: Roster, asked: Request, answer: Path, *, named: bool) -> None:
    """Nobody takes part under keys that the coordinator put in the place of his own, or begins under another name.

    Later versions may have another name of an institution: it has countersigned that.
    """
    if asked.role == "node":
        found = [
            member
            for member in roster.members
            if (member.signing_key, member.sealing_key, member.lineage)
            == (asked.signing_key, asked.sealing_key, asked.lineage)
            and (member.name == asked.name or not named)
        ]
    else:
        key = roster.aggregator_key if asked.role == "aggregator" else roster.coordinator_key
        found = [key] if key == asked.signing_key else []  # type: ignore[list-item]
    if not found:
        raise InputError(
            f"the roster does not name {asked.name} by the keys of this kit",
            where=answer / kit.ROSTER,
            cure="send the coordinator this kit's request.json again",
        )


def _certified(answer: Path, folder: Path) -> str:
    """The key file that the answer's certificate is of; "" where it brings none."""
    path = answer / kit.CERTIFICATE
    return _key_of(kit.load_certificate(path, "TLS certificate"), folder, path) if path.exists() else ""


def _key_of(certificate: x509.Certificate, folder: Path, where: Path) -> str:
    for name in (NEXT_TLS_KEY, kit.TLS_KEY):
        if (folder / name).exists():
            key = kit.load_private_key(read_secret(folder / name), folder / name)
            if key.public_key() == certificate.public_key():
                return name
    raise InputError(
        "certificate is not of this kit's TLS key",
        where=where,
        cure="take the folder that answers this kit's newest request.json",
    )
