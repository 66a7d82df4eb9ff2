"""What is installed against what was released: a real wheel, `sha256sum` beside our own reading, planted changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from afml.cli.version import version
from afml.core.errors import InputError, IntegrityError
from afml.operate.installed import (
    PACKAGES,
    Difference,
    differing,
    digests,
    evidence,
    manifest,
    other_versions,
    places,
    read_bom,
    read_manifest,
)

ROOT = Path(__file__).parents[2]
OURS = {package: ROOT / package for package in PACKAGES}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel of this tree is installed."""
    place = tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, place / "tree" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "tree" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(place), str(place / "tree")]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    install = ["install", "--no-deps", "--no-index", "--no-compile", "--target", str(place / "site"), str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    return place / "site"


def told(site: Path, *options: object) -> tuple[int, str, str]:
    """`afml version` of an installation, in an interpreter of its own."""
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "afml", "version", *map(str, options)]
    done = subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_an_installed_wheel_is_what_its_record_and_the_manifest_of_the_tree_say(site: Path, tmp_path: Path) -> None:
    """So the wheel holds every file of the packages, and nothing else."""
    release = tmp_path / "manifest.sha256"
    release.write_bytes(manifest(digests(OURS)))
    for options in (["--evidence"], ["--manifest", release]):
        code, out, err = told(site, *options)
        assert (code, err) == (0, ""), out
        assert "nothing differs" in out
        assert f"{len(digests(OURS))} files" in out
        assert str(site / "crypto") in out
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", release], cwd=site, check=True)


def test_what_was_changed_in_an_installation_is_named(site: Path, tmp_path: Path) -> None:
    copy, release = tmp_path / "site", tmp_path / "manifest.sha256"
    shutil.copytree(site, copy)
    release.write_bytes(manifest(digests(OURS)))
    noise = copy / "afml" / "privacy" / "noise.py"
    noise.write_text(noise.read_text().replace("EDGE = 7 / 8", "EDGE = 6 / 8"))
    (copy / "node" / "extra.py").write_text("")
    (copy / "crypto" / "public" / "grid.py").unlink()
    (copy / "aggregator" / "linked").symlink_to(tmp_path)
    found = differing(read_manifest(release), digests({name: copy / name for name in PACKAGES}))
    assert [(one.how, one.what) for one in found] == [
        ("changed", "afml/privacy/noise.py"),
        ("not released", "aggregator/linked"),
        ("missing", "crypto/public/grid.py"),
        ("not released", "node/extra.py"),
    ]
    (copy / "crypto" / "public" / "grid.py").write_bytes((ROOT / "crypto/public/grid.py").read_bytes())
    code, out, err = told(copy, "--evidence")
    assert code == 6
    assert "changed: afml/privacy/noise.py\nnot released: aggregator/linked\nnot released: node/extra.py\n" in out
    assert err == "afml: installation: 3 differences from what was released; install the release again\n"


def test_bytecode_is_not_compared_and_that_is_said(site: Path, tmp_path: Path) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    (copy / "node" / "__pycache__").mkdir()
    (copy / "node" / "__pycache__" / "guard.cpython-311.pyc").write_bytes(b"anything")
    code, out, _ = told(copy, "--evidence")
    assert code == 0
    assert "not compared: 1 files of compiled bytecode" in out


def test_a_checkout_has_no_record_and_says_so() -> None:
    done = CliRunner().invoke(version, ["--evidence"])
    assert done.exit_code == 0, done.output
    assert "files not compared" in done.output
    assert "nothing differs" not in done.output
    assert CliRunner().invoke(version, []).output == "afml 0.1.0\n"


def test_json_tells_every_file() -> None:
    document = json.loads(CliRunner().invoke(version, ["--json"]).output)
    assert document["files"] == digests(OURS)
    assert {name: Path(place) for name, place in document["places"].items()} == places() == OURS
    lines = [line for line in manifest(digests(OURS)).splitlines(keepends=True) if b"  node/" in line]
    summed = subprocess.run(["sha256sum"], input=b"".join(lines), capture_output=True, check=True).stdout.split()[0]
    assert document["packages"]["node"] == summed.decode()


_NAMES = st.from_regex(r"(?:afml|node)/[a-z_]{1,5}/[a-z_]{1,8}\.py", fullmatch=True)
_DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


@given(st.dictionaries(_NAMES, _DIGESTS, min_size=1))
def test_manifests_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("manifest") / "m"
    path.write_bytes(manifest(files))
    assert read_manifest(path) == files
    assert differing(files, files) == []


@pytest.mark.parametrize(
    "line", ["", "x", "0" * 64 + "  /etc/passwd", "0" * 64 + "  afml/../x.py", "0" * 64 + " afml/a.py",
             "0" * 64 + "  torch/a.py", "A" * 64 + "  afml/a.py", "0" * 64 + "  afml/one.py"],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "m"
    path.write_text("0" * 64 + "  afml/one.py\n" + line + "\n")
    with pytest.raises(InputError, match="m:2: is no line of a manifest"):
        read_manifest(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(path)
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        read_manifest(path)


def test_versions_of_dependencies_are_compared_with_the_sbom(tmp_path: Path) -> None:
    here = {"numpy": "0.1", "not-there": "1.0", "nor-this": "1.0", "click": __import__("click").__version__}
    parts = [{"name": n, "version": v, "scope": "optional" if n == "nor-this" else "required"} for n, v in here.items()]
    bom = tmp_path / "sbom.json"
    bom.write_text(json.dumps({"bomFormat": "CycloneDX", "components": parts}))
    found = other_versions(read_bom(bom))
    assert found[0] == Difference("not-there 1.0", "missing")
    assert (found[1].what, found[1].how[:12], len(found)) == ("numpy 0.1", "installed as", 2)
    assert evidence(None, bom).differences == found
    done = CliRunner().invoke(version, ["--sbom", str(bom)])
    assert isinstance(done.exception, IntegrityError)
    assert "compared with SBOM sbom.json: 4 dependencies" in done.output
    for other in ("[]", "{}", "no", '{"bomFormat": "CycloneDX", "components": [{}]}'):
        bom.write_text(other)
        with pytest.raises(InputError, match="is no CycloneDX JSON"):
            read_bom(bom)
