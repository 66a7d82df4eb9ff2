"""What made a dossier: digests of what is installed, compared with its own record or a release, and of single files."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

from afml import __version__
from afml.dossier.design import commit, recorded
from afml.operate.installed import PACKAGES, evidence, other_versions, read_bom, read_manifest
from afml.training.registry import code_digest, stated_code


def software(sbom: Path | None, manifest: Path | None) -> dict[str, Any]:
    """What software.json says.

    Args:
        sbom: Bill of materials of the release (CycloneDX JSON), to compare what is installed with.
        manifest: Of the release, likewise; None: with the installed wheel's own record, where there is one.

    Raises:
        InputError: One of them is not what it should be.
    """
    installed = evidence(manifest)
    root = installed.places["afml"].parent
    released = None if manifest is None else read_manifest(manifest)
    found: dict[str, Any] = {
        "afml": __version__, "python": platform.python_version(), "code": code_digest("afml", own=False),
        "source": stated_code(), "made_ms": int(time.time() * 1000),
        "packages": {name: installed.digest(name) for name in PACKAGES}, "files": len(installed.files),
        "compared": list(installed.compared), "design": recorded(installed.files, released, root),
    }  # fmt: skip
    if (of := commit(root)) is not None:
        found["commit"] = of
    if installed.compared:
        found["differences"] = len(installed.differences)
    if sbom is not None:
        listed = read_bom(sbom)
        found["sbom"] = {"components": len(listed), "differences": len(other_versions(listed))}
    return found
