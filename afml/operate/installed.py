"""Digests of the code that runs, and how it differs from what was released.

A manifest is what `sha256sum` writes: a line for each file, so that it can be checked without any code of ours. The
record of an installed wheel (RECORD, of PEP 376 and the wheel format) says the same of the files that were in it;
whoever can change a file can change that one too, a manifest from elsewhere cannot be changed here.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from afml.core.errors import InputError

NAME = "afml"
PACKAGES = ("afml", "aggregator", "crypto", "node")
_LINE = re.compile(r"([0-9a-f]{64})  ((?:[\w.-]+/)+[\w.-]+)")
_CACHE = "__pycache__"


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was released.

    Attributes:
        what: A file of a package, or "NAME VERSION" of a dependency.
        how: In words.
    """

    what: str
    how: Literal["changed", "missing", "not released"] | str


@dataclass(frozen=True)
class Evidence:
    """What is installed.

    Attributes:
        version: Of the product.
        places: Package -> folder that its code is loaded from.
        files: File, by its path within the packages -> SHA-256, hex.
        cached: Files of compiled bytecode, which are not compared.
        compared: What it was compared with, in words.
        differences: What was found.
    """

    version: str
    places: Mapping[str, Path]
    files: Mapping[str, str]
    cached: int
    compared: Sequence[str] = ()
    differences: Sequence[Difference] = field(default=())

    def digest(self, package: str) -> str:
        """SHA-256, hex, of the manifest's lines of one package."""
        mine = {path: sha for path, sha in self.files.items() if path.startswith(f"{package}/")}
        return hashlib.sha256(manifest(mine)).hexdigest()


def places() -> dict[str, Path]:
    """The folders that the packages are loaded from; nothing is imported."""
    found = {}
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise InputError("is not installed", where=f"package {package}", cure="install the wheel again")
        found[package] = Path(next(iter(spec.submodule_search_locations))).resolve()
    return found


def digests(folders: Mapping[str, Path]) -> dict[str, str]:
    """File -> SHA-256, hex, of everything in the packages but compiled bytecode.

    Args:
        folders: Package -> its folder.
    """
    return {
        f"{package}/{path.relative_to(folder).as_posix()}": hashlib.sha256(_content(path)).hexdigest()
        for package, folder in sorted(folders.items())
        for path in sorted(folder.rglob("*"))
        if (path.is_file() or path.is_symlink()) and _CACHE not in path.relative_to(folder).parts
    }


def _content(path: Path) -> bytes:
    """Of a link the place it leads to: no release has one, and what is behind a linked folder is not walked."""
    return str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()


def evidence(manifest_file: Path | None = None, bom: Path | None = None) -> Evidence:
    """What is installed, and how it differs from a manifest, or else from its own record, and from an SBOM.

    Args:
        manifest_file: Of the release.
        bom: CycloneDX JSON of the release.

    Raises:
        InputError: A file is not what it should be, or a package is not there.
    """
    where = places()
    files = digests(where)
    cached = sum(len(list(folder.rglob(f"{_CACHE}/*.pyc"))) for folder in where.values())
    compared, differences = [], []
    expected = recorded(where["afml"].parent) if manifest_file is None else read_manifest(manifest_file)
    if expected is not None:
        what = "the record of the installed wheel" if manifest_file is None else f"manifest {manifest_file.name}"
        compared.append(f"{what}: {len(expected)} files")
        differences += differing(expected, files)
    if bom is not None:
        pinned = read_bom(bom)
        compared.append(f"SBOM {bom.name}: {len(pinned)} dependencies")
        differences += other_versions(pinned)
    return Evidence(version=_version(), places=where, files=files, cached=cached, compared=compared,
                    differences=differences)  # fmt: skip


def differing(expected: Mapping[str, str], found: Mapping[str, str]) -> list[Difference]:
    """Files that were changed, are missing, or were not released, by path."""
    changed = [Difference(path, "changed") for path in expected if path in found and expected[path] != found[path]]
    missing = [Difference(path, "missing") for path in expected if path not in found]
    added = [Difference(path, "not released") for path in found if path not in expected]
    return sorted(changed + missing + added, key=lambda one: one.what)


def manifest(files: Mapping[str, str]) -> bytes:
    """As `sha256sum` writes and `sha256sum --check` reads it."""
    return "".join(f"{files[path]}  {path}\n" for path in sorted(files)).encode()


def read_manifest(path: Path) -> dict[str, str]:
    """File -> SHA-256, hex.

    Raises:
        InputError: It is no manifest of these packages, or names a file twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        match = _LINE.fullmatch(line)
        if not match or match[2].split("/")[0] not in PACKAGES or ".." in match[2].split("/") or match[2] in found:
            raise InputError("is no line of a manifest", where=f"{path}:{number}", cure="fetch the release's again")
        found[match[2]] = match[1]
    if not found:
        raise InputError("is empty", where=path, cure="fetch the release's again")
    return found


def recorded(root: Path) -> dict[str, str] | None:
    """What the wheel in this folder said of its files; None where no wheel was installed, as from a checkout."""
    try:
        distribution = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return None
    if Path(str(distribution.locate_file("afml"))).resolve().parent != root:
        return None  # it is not what runs
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    found = {}
    for path, digest, *_ in (row for row in rows if len(row) == 3):
        if path.split("/")[0] in PACKAGES and digest.startswith("sha256="):
            padded = digest.removeprefix("sha256=") + "="
            found[path] = base64.urlsafe_b64decode(padded).hex()
    return found or None


def read_bom(path: Path) -> dict[str, tuple[str, bool]]:
    """Name -> version, and whether a plain installation needs it.

    Raises:
        InputError: It is no CycloneDX JSON.
    """
    try:
        document = json.loads(_text(path))
        if document["bomFormat"] != "CycloneDX":
            raise ValueError
        parts = document["components"]
        return {str(part["name"]): (str(part["version"]), part.get("scope") == "required") for part in parts}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError("is no CycloneDX JSON", where=path, cure="fetch the release's again") from None


def other_versions(pinned: Mapping[str, tuple[str, bool]]) -> list[Difference]:
    """Dependencies that are here in another version, or that a plain installation needs and lacks."""
    found = []
    for name, (version, needed) in sorted(pinned.items()):
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            if needed:
                found.append(Difference(f"{name} {version}", "missing"))
            continue
        if here.split("+")[0] != version:  # torch says which device it was built for
            found.append(Difference(f"{name} {version}", f"installed as {here}"))
    return found


def _version() -> str:
    from afml import __version__

    return __version__


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError("cannot be read", where=path, cure="give a file of the release") from None
