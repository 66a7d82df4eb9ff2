"""The bills of materials say what the locks pin and what packages declare, the same each time."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from afml.operate.installed import other_versions

ROOT = Path(__file__).parents[2]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    return tool("sbom")


@pytest.fixture(scope="module")
def made(sbom: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = sbom.bill(sbom.pins(sbom.LOCK.read_text()), apart=False)
    return found


def test_every_line_of_the_lock_is_a_component_with_its_digests(sbom: ModuleType, made: dict[str, Any]) -> None:
    """Line by line, the slow way."""
    name, expected = "", {}
    for line in sbom.LOCK.read_text().splitlines():
        if "==" in line:
            name, pinned = line.rstrip(" \\").split("==")
            name = re.sub(r"[-_.]+", "-", name).lower()
            expected[name] = (pinned, [])
        else:
            expected[name][1].append(line.strip(" \\").removeprefix("--hash=sha256:"))
    assert len(expected) > 100
    found = {
        one["name"]: (one["version"], [h["content"] for h in one["externalReferences"][0]["hashes"]])
        for one in made["components"]
    }
    assert found == {name: (pinned, sorted(hashes)) for name, (pinned, hashes) in expected.items()}


def test_what_a_plain_installation_needs_is_told_from_what_development_needs(made: dict[str, Any]) -> None:
    scope = {one["name"]: one["scope"] for one in made["components"]}
    assert {scope[name] for name in ("numpy", "cryptography", "tenseal", "opacus", "cffi")} == {"required"}
    assert {scope[name] for name in ("pytest", "mypy", "ruff", "hypothesis", "psycopg")} == {"optional"}
    edges = {one["ref"]: one["dependsOn"] for one in made["dependencies"]}
    refs = {one["bom-ref"] for one in made["components"]} | {made["metadata"]["component"]["bom-ref"]}
    assert set(edges) == refs
    assert all(set(names) <= refs for names in edges.values())
    asked, reached = ["pkg:pypi/afml@0.1.0"], set()
    while asked:
        asked += [ref for ref in edges[asked.pop()] if ref not in reached and not reached.add(ref)]
    assert {name for name in scope if scope[name] == "required"} >= {ref[9:].split("@")[0] for ref in reached}


def test_the_bill_is_the_same_each_time_and_describes_what_is_installed(sbom: ModuleType, made: dict[str, Any]) -> None:
    assert sbom.bill(sbom.pins(sbom.LOCK.read_text()), apart=False) == made
    assert made["serialNumber"].startswith("urn:uuid:")
    assert other_versions({one["name"]: (one["version"], True) for one in made["components"]}) == []
    numpy = next(one for one in made["components"] if one["name"] == "numpy")
    assert numpy["purl"] == f"pkg:pypi/numpy@{numpy['version']}"
    changed = sbom.pins(sbom.LOCK.read_text()) | {"numpy": ("0.1", [])}
    with pytest.raises(SystemExit, match=r"numpy .* is installed, the lock has 0\.1; run `make setup`"):
        sbom.bill(changed, apart=False)


def about(**fields: Any) -> Message:
    made = Message()
    for key, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            made[key.replace("_", "-")] = value
    return made


def words(found: list[dict[str, Any]]) -> Iterator[str]:
    for one in found:
        yield one.get("expression") or one["license"].get("id") or one["license"]["name"]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"License_Expression": "MIT OR Apache-2.0", "License": "no"}, ["MIT OR Apache-2.0"]),
        ({"License": "BSD-3-Clause", "Classifier": "License :: OSI Approved :: BSD License"}, ["BSD-3-Clause"]),
        ({"License": "long\ntext", "Classifier": ["License :: OSI Approved :: MIT License"]}, ["MIT"]),
        ({"License": "3-Clause BSD License\nmore"}, ["3-Clause BSD License"]),
        ({"License": "UNKNOWN", "Classifier": ["License :: OSI Approved :: ISC License (ISCL)"]}, ["ISC"]),
        ({"License": "UNKNOWN", "Classifier": ["License :: OSI Approved", "Topic :: X"]}, []),
    ],
)
def test_licences_are_what_packages_declare(sbom: ModuleType, declared: dict[str, Any], expected: list[str]) -> None:
    assert list(words(sbom.licences(about(**declared)))) == expected


@pytest.mark.parametrize(
    ("declared", "refused"),
    [
        ({"License_Expression": "GPL-3.0-or-later"}, True),
        ({"License_Expression": "AGPL-3.0-only"}, True),
        ({"License": "GNU General Public License"}, True),
        ({"Classifier": ["License :: OSI Approved :: GNU Affero General Public License v3"]}, True),
        ({"License_Expression": "LGPL-3.0-only"}, False),
        ({"Classifier": ["License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"]}, False),
        ({"License_Expression": "GPL-2.0-only OR MIT"}, False),
        ({"License_Expression": "MIT AND GPL-2.0-only"}, True),
        ({"License": "GPL", "Classifier": ["License :: OSI Approved :: BSD License"]}, False),
        ({}, False),
    ],
)
def test_the_gpl_is_told_from_what_is_no_obligation(sbom: ModuleType, declared: dict[str, Any], refused: bool) -> None:
    assert sbom.only_gpl(sbom.licences(about(**declared))) is refused


def test_the_gpl_stays_apart(sbom: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = sbom.pins(sbom.SIMULATE.read_text())
    assert "msprime" in extra
    assert not set(extra) & set(sbom.pins(sbom.LOCK.read_text()))
    monkeypatch.setattr(sbom, "licences", lambda about: [{"expression": "GPL-3.0-or-later"}])
    one = dict([next(iter(sbom.pins(sbom.LOCK.read_text()).items()))])
    with pytest.raises(SystemExit, match="it cannot stand in this lock"):
        sbom.bill(one, apart=False)
    monkeypatch.setattr(sbom, "licences", lambda about: [])
    with pytest.raises(SystemExit, match="declares no licence"):
        sbom.bill(one, apart=False)
    assert sbom.bill(one, apart=True)["components"][0]["scope"] == "optional"


def test_a_manifest_is_of_a_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = tool("manifest")
    monkeypatch.setattr(made, "uncommitted", lambda: [" M afml/x.py"])
    monkeypatch.setattr("sys.argv", ["manifest.py", "--out", str(tmp_path / "m")])
    with pytest.raises(SystemExit, match=r"not as committed \(M afml/x\.py\)"):
        made.main()
    assert not (tmp_path / "m").exists()
