"""Dossiers of the institutions of one consortium, read to be laid side by side; what does not belong there is refused.

Each is verified by the verifier that it carries before a word of it is believed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afml.consortium.provision import MOST_NODES
from afml.core.errors import InputError, IntegrityError
from afml.core.files import require_file
from afml.dossier.standalone import MANIFEST, STATEMENTS, Check, Ledger, canonical, sha256
from afml.dossier.statements import Statement, Statements


@dataclass(frozen=True)
class Pack:
    """One dossier, verified.

    Attributes:
        name: What it is called beside the others.
        check: Its verification, with the ledgers and transcripts that were read for it.
        statements: What it says.
        digest: SHA-256 of its manifest, hex.
    """

    name: str
    check: Check
    statements: Statements
    digest: str

    @property
    def run(self) -> dict[str, Any] | None:
        """run.json, where it is about a run."""
        run: dict[str, Any] | None = self.check.json("run.json")
        return run

    @property
    def configuration(self) -> str:
        """Digest of the signed run, hex; "" where it is about none."""
        return "" if self.run is None else sha256(canonical(self.run))


def require_pack(folder: Path) -> Path:
    """`folder`, if it is a dossier.

    Raises:
        InputError: It is none.
    """
    require_file(folder / MANIFEST, "dossier", "name folders that `afml audit dossier` wrote")
    return folder


def read_pack(folder: Path, name: str, where: object) -> Pack:
    """Verify and read a dossier.

    Args:
        folder: It.
        name: As of `Pack`.
        where: For messages.

    Raises:
        InputError: It holds what must stay with its institution.
        IntegrityError: Something was found in it.
    """
    found = Check(folder).run()
    if found.findings:
        first = found.findings[0]
        problem = f"does not verify: {first.code} at {first.where}: {first.problem}; {len(found.findings)} findings"
        raise IntegrityError(problem, where=where, cure="ask its makers for another copy, and keep this one")
    stays = [one["file"] for one in found.json(MANIFEST)["files"] if not one["leaves"]]
    if stays:
        problem = f"holds {len(stays)} files that stay with their institution, {stays[0]} for one"
        raise InputError(problem, where=where, cure="have it made again without the institution's own --report")
    said = Statements(map(Statement.from_json, found.json(STATEMENTS)))
    return Pack(name, found, said, sha256((folder / MANIFEST).read_bytes()))


def name_of(folder: Path) -> str:
    """What a dossier is called beside others: after who says that it signed it, until that is verified."""
    try:
        node = json.loads((folder / MANIFEST).read_bytes())["signer"]["node"]
    except (ValueError, LookupError, TypeError):
        node = None
    return f"node-{node}" if isinstance(node, int) and 0 < node <= MOST_NODES else "unsigned"


def require_together(packs: Sequence[Pack], where: Sequence[object]) -> None:
    """Refuse dossiers that are not of one consortium and run, or that hold two histories of one ledger.

    Args:
        packs: At least one.
        where: Of each, for messages.

    Raises:
        InputError: They are of different consortia or runs, or one of two holds an older copy of a ledger.
        IntegrityError: A ledger has two histories: its institution signed both.
    """
    first, at = packs[0], where[0]
    for pack, place in zip(packs[1:], where[1:], strict=True):
        for field in ("consortium", "coordinator_key"):
            mine, theirs = first.check.roster[field], pack.check.roster[field]
            if mine != theirs:
                told = f"is of consortium {pack.check.roster['consortium']} with coordinator key "
                told += f"{pack.check.roster['coordinator_key'][:16]}, and {at} of {first.check.roster['consortium']}"
                raise InputError(
                    f"{told} with {first.check.roster['coordinator_key'][:16]}", where=place, cure="merge those of one"
                )
    about = [(pack.run["run"], place) for pack, place in zip(packs, where, strict=True) if pack.run]
    for name, place in about[1:]:
        if name != about[0][0]:
            told = f"is about run {name}, and {about[0][1]} about run {about[0][0]}"
            raise InputError(told, where=place, cure="merge the dossiers of one run")
    both = itertools.combinations(zip(packs, where, strict=True), 2)
    for (one, here), (other, there) in both:
        for name in sorted(one.check.ledgers.keys() & other.check.ledgers.keys()):
            _require_one_history(one.check.ledgers[name], here, other.check.ledgers[name], there)


def _require_one_history(one: Ledger, here: object, other: Ledger, there: object) -> None:
    if one.leaves == other.leaves:
        return
    (short, its), (long, theirs) = sorted([(one, here), (other, there)], key=lambda pair: len(pair[0].leaves))
    place = next((i for i, leaf in enumerate(short.leaves) if leaf != long.leaves[i]), None)
    if place is None:
        told = f"has the first {len(short.leaves)} entries of the ledger of {short.owner}, and {theirs} all"
        raise InputError(f"{told} {len(long.leaves)}", where=its, cure="leave the older dossier out")
    told = f"is a fork: {short.owner} signed another ledger than in {theirs}, from entry {place} on"
    raise IntegrityError(told, where=its, cure="keep both, and show them to the other institutions")
