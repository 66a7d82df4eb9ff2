"""A dossier made: evidence, statements, proofs, page, verifier, and the signed list of all files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.core.config import canonical_json
from afml.core.files import staged_folder
from afml.dossier import standalone
from afml.dossier.evidence import Sources, gather
from afml.dossier.facts import collect
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.output import documents
from afml.dossier.page import PAGE, page
from afml.dossier.paper import PAPER, print_page
from afml.dossier.statements import LedgerLeaf, Statements
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.findings import Verification
from crypto.public import signing

VERIFIER = "verify.py"
_STAYS = ("report.json", "details.json", PAGE, PAPER, standalone.STATEMENTS, "forms/")
"""Of an institution's own report these are exact about its people, and stay with it."""


@dataclass(frozen=True)
class Signer:
    """Who signs a dossier.

    Attributes:
        node: Its number on the roster.
        key: Its signing key.
    """

    node: int
    key: Ed25519PrivateKey


def make(sources: Sources, out: Path, signer: Signer | None = None) -> list[Verification]:
    """Write a dossier into `out`, whole or not at all; what the verification of each ledger found.

    Raises:
        InputError: A source is missing or wrong.
        IntegrityError: Something that others signed does not verify.
    """
    with staged_folder(out) as staged:
        found = gather(sources, staged, None if signer is None else signer.node)
        statements = collect(staged)
        (staged / standalone.STATEMENTS).write_bytes(statements.to_bytes())
        _write(staged / "proofs.json", _proofs(staged, statements))
        (staged / PAGE).write_bytes(page(statements))
        print_page(staged)
        (staged / "forms").mkdir()
        for name, document in documents(fill_all(statements)).items():
            (staged / name).write_bytes(document)
        (staged / VERIFIER).write_bytes(own_verifier())
        seal(staged, signer, own=statements.value("report.scope") == "own")
    return found


def own_verifier() -> bytes:
    """The verifier that a dossier carries: the file that verifies here, too."""
    return Path(str(standalone.__file__)).read_bytes()


def seal(folder: Path, signer: Signer | None, *, own: bool = False) -> None:
    """Write the manifest of everything in a folder, and sign it.

    Args:
        folder: Of the dossier.
        signer: Who signs; None for nobody.
        own: What is in it is exact about one institution's people and stays there.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    names = [path.relative_to(folder).as_posix() for path in files]
    listed = [
        {
            "file": name,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            "bytes": (folder / name).stat().st_size,
            "leaves": not (own and name.startswith(_STAYS)),
        }
        for name in names
        if name not in (standalone.MANIFEST, standalone.SIGNATURE)
    ]
    manifest: dict[str, Any] = {
        "format": standalone.FORMAT, "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "files": listed,
    }  # fmt: skip
    if signer is not None:
        manifest["signer"] = {"node": signer.node, "key": signing.public_bytes(signer.key).hex()}
    data = canonical_json(manifest)
    (folder / standalone.MANIFEST).write_bytes(data)
    if signer is not None:
        (folder / standalone.SIGNATURE).write_bytes(signing.sign(signer.key, standalone.SIGNED + data))


def _proofs(folder: Path, statements: Statements) -> dict[str, Any]:
    """Of each ledger: paths of the entries that statements stand on, and of every kept head to the newest one."""
    wanted: dict[str, set[int]] = {}
    for one in statements.values():
        if isinstance(one.pointer, LedgerLeaf):
            wanted.setdefault(one.pointer.ledger, set()).add(one.pointer.index)
    proofs = {}
    for place in sorted((folder / "ledgers").glob("*")):
        leaves = [tree.leaf_hash(line) for line in (place / "entries.jsonl").read_bytes().split(b"\n")[:-1]]
        paths = tree.inclusion_proofs(leaves)
        heads = [notes.parse(path.read_text(encoding="utf-8")) for path in sorted((place / "kept").glob("*.txt"))]
        proofs[place.name] = {
            "inclusion": {str(i): [step.hex() for step in paths[i]] for i in sorted(wanted.get(place.name, ()))},
            "consistency": [
                {"size": size, "path": [step.hex() for step in tree.consistency_proof(leaves, size)]}
                for size in sorted({head.size for head in heads if head.size <= len(leaves)})
            ],
        }
    return proofs


def _write(path: Path, value: object) -> None:
    path.write_bytes(canonical_json(value) + b"\n")
