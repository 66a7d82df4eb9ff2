#!/usr/bin/env python
"""Write the software bills of materials: `make sbom`.

CycloneDX 1.6 JSON, made of the lock files and of what the installed packages say of themselves. One bill is of all that
a checkout installs (`scope` "required" for what the product needs at run time, "optional" for what only its
development needs); another is of what the simulator of the demo adds, which is GPL and stays apart: the product never
imports it. The same locks and packages give the same bytes.

Licences are those that packages declare: an SPDX expression where there is one, else their words. A package of the
first bill that declares nothing but the GPL, or no licence at all, is refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from afml.core.files import write_bytes  # noqa: E402

LOCK, SIMULATE = ROOT / "requirements.lock", ROOT / "requirements-simulate.lock"
_CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_SPDX = re.compile(r"(?:Apache-2\.0|BSD-[23]-Clause|ISC|MIT|MPL-2\.0|PSF-2\.0|Unlicense|Zlib)")
_GPL = re.compile(r"\bA?GPL|Affero|(?<!Lesser )General Public", re.I)

Json = dict[str, Any]


def pins(text: str) -> dict[str, tuple[str, list[str]]]:
    """Name -> version and SHA-256 of the files that a lock allows."""
    found: dict[str, tuple[str, list[str]]] = {}
    for block in re.split(r"\n(?=\S)", text):
        if match := re.match(r"([A-Za-z0-9_.-]+)==([^\s;\\]+)", block):
            found[canonicalize_name(match[1])] = match[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", block)
    return found


def project() -> Json:
    """The [project] table of pyproject.toml."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def needs(requirements: list[str], extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """The names, and their extras, of the requirements that hold on this machine."""
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def required(requirements: list[str], known: set[str]) -> set[str]:
    """Of the known packages those that a plain installation needs, directly or not."""
    found: set[str] = set()
    asked = list(needs(requirements))
    while asked:
        name, extras = asked.pop()
        if name in known and name not in found:
            found.add(name)
            asked += needs(metadata.requires(name) or [], extras)
    return found


#: Of packages whose metadata declare nothing: what the licence file that they install says.
_BY_FILE = {"axe-playwright-python": "MIT"}


def licences(about: metadata.PackageMetadata) -> list[Json]:
    """CycloneDX's choice of licences for what a package says of itself; empty where it says nothing."""
    if expression := about.get("License-Expression"):
        return [{"expression": expression}]
    words = (about.get("License") or "").strip()
    if _SPDX.fullmatch(words):
        return [{"license": {"id": words}}]
    named = [one.split(" :: ")[-1] for one in about.get_all("Classifier") or [] if one.startswith("License ::")]
    named = [one for one in named if one not in ("OSI Approved", "DFSG approved")]
    if not named and words and words != "UNKNOWN":
        named = [words.splitlines()[0].strip()]
    if not named and (read := _BY_FILE.get(about["Name"])):
        return [{"license": {"id": read}}]
    return [{"license": {"id": _CLASSIFIED[one]} if one in _CLASSIFIED else {"name": one}} for one in named]


def only_gpl(found: list[Json]) -> bool:
    """Whether there is no way to use a package but under the GPL."""
    words = [one.get("expression") or one["license"].get("id") or one["license"]["name"] for one in found]
    ways = [way for one in words for way in re.split(r"\bOR\b", one)]
    return bool(ways) and all(_GPL.search(re.sub("LGPL", "", way)) for way in ways)


def component(name: str, version: str, hashes: list[str], scope: str) -> Json:
    """One dependency, as installed."""
    about = metadata.metadata(name)
    if about["Version"].split("+")[0] != version:
        sys.exit(f"sbom: {name} {about['Version']} is installed, the lock has {version}; run `make setup`")
    purl = f"pkg:pypi/{name}@{version}"
    made: Json = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "scope": scope}
    made["licenses"] = licences(about)
    if hashes:
        files = [{"alg": "SHA-256", "content": one} for one in sorted(hashes)]
        comment = "the files that the lock allows, for any machine"
        made["externalReferences"] = [{"type": "distribution", "url": purl, "comment": comment, "hashes": files}]
    return made


def bill(locked: dict[str, tuple[str, list[str]]], *, apart: bool) -> Json:
    """The bill of one lock.

    Args:
        locked: As `pins` reads it, with torch, whose builds for devices differ and which no lock has digests of.
        apart: It is that of the simulator: all optional, whatever the licence.
    """
    about = project()
    needed = set() if apart else required(about["dependencies"], set(locked))
    components = [
        component(name, version, hashes, "required" if name in needed else "optional")
        for name, (version, hashes) in sorted(locked.items())
    ]
    for one in components if not apart else ():
        if not one["licenses"] or only_gpl(one["licenses"]):
            sys.exit(f"sbom: {one['name']} declares {one['licenses'] or 'no licence'}; it cannot stand in this lock")
    ours = f"pkg:pypi/{about['name']}@{about['version']}"
    root: Json = {
        "type": "application",
        "bom-ref": ours,
        "name": about["name"],
        "version": about["version"],
        "purl": ours,
    }
    root["licenses"] = [{"license": {"id": about["license"]}}]
    refs = {one["name"]: one["bom-ref"] for one in components}
    edges = [{"ref": ours, "dependsOn": sorted(refs[n] for n, _ in needs(about["dependencies"]) if n in refs)}]
    for name, ref in refs.items():
        direct = {refs[n] for n, _ in needs(metadata.requires(name) or []) if n in refs}
        edges.append({"ref": ref, "dependsOn": sorted(direct)})
    made: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": edges,
    }
    return {"serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True)).urn, **made}


def summary(made: Json) -> Iterator[str]:
    """Licence -> packages, in lines."""
    table: dict[str, list[str]] = {}
    for one in made["components"]:
        words = [w.get("expression") or w["license"].get("id") or w["license"]["name"] for w in one["licenses"]]
        table.setdefault(", ".join(words), []).append(f"{one['name']} {one['version']}")
    for words, names in sorted(table.items()):
        yield f"  {words}: {', '.join(names)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    whole = pins(LOCK.read_text(encoding="utf-8"))
    torch = next(one for one in map(Requirement, project()["dependencies"]) if one.name == "torch")
    whole["torch"] = str(torch.specifier).removeprefix("=="), []
    bills = {"sbom.json": bill(whole, apart=False)}
    extra = pins(SIMULATE.read_text(encoding="utf-8"))
    if all(_installed(name) for name in extra):
        bills["sbom-simulate.json"] = bill(extra, apart=True)
    else:
        print("sbom: the simulator is not installed, so no bill of it is made (`make demo` installs it)")
    for name, made in bills.items():
        write_bytes(folder / name, (json.dumps(made, indent=2) + "\n").encode())
        print(f"{folder / name}: {len(made['components'])} components", *summary(made), sep="\n")


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
