"""Installed tasks: found by name, known by their code, refused in one line."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import afml
from afml.core.errors import ConfigError
from afml.training.registry import agreed, code_digest, find, names, source_files

KIND = """
class Kind:
    data = ("table",)
    def settings(self, given): ...
    def check(self, run): ...
    def plan(self, given, data, rounds, terms): ...
    def lengths(self, run): ...
    def task(self, run, public, *, bf16=False): ...
    def enrolled(self, run, prepared): ...
    def held_out(self, run, prepared): ...

KIND = Kind()
HALF = object()
"""
Install = Callable[..., Path]


OURS = names()
"""Tasks that come with AFML."""


@pytest.fixture(autouse=True)
def _fresh_digests() -> Iterator[None]:
    code_digest.cache_clear()
    yield
    code_digest.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """(package, kind, target, source) -> the folder of the package, installed beside everything else."""

    def made(package: str, kind: str = "tiny", target: str = "", source: str = KIND) -> Path:
        site = tmp_path / package
        folder, about = site / package, site / f"{package}-1.5.dist-info"
        for new in (folder, about):
            new.mkdir(parents=True)
        (folder / "__init__.py").write_text(source)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
        (about / "entry_points.txt").write_text(f"[afml.tasks]\n{kind} = {target or package + ':KIND'}\n")
        monkeypatch.syspath_prepend(site)
        return folder

    return made


def test_a_package_brings_a_task(install: Install) -> None:
    install("afml_test_one")
    assert names() == tuple(sorted({*OURS, "tiny"}))
    found = find("tiny")
    assert (found.kind, found.version, found.own, found.target) == ("tiny", "1.5", False, "afml_test_one:KIND")
    assert found.imported().data == ("table",)
    assert (found.choice.kind, found.choice.version, found.choice.code) == ("tiny", "1.5", found.code)
    assert find("masking").own
    assert agreed(found.choice) == found


def test_an_unknown_task_is_refused_with_what_there_is(install: Install) -> None:
    install("afml_test_two")
    with pytest.raises(ConfigError) as refused:
        find("tinny", where="run r")
    there = ", ".join(sorted({*OURS, "tiny"}))
    assert str(refused.value) == (
        f"run r: the task tinny is not installed here; install its package; installed are {there}"
    )


def test_two_packages_with_one_name_are_refused(install: Install) -> None:
    install("afml_test_three")
    install("afml_test_four")
    with pytest.raises(ConfigError, match="two packages bring a task tiny; remove one of them"):
        find("tiny")
    assert names() == tuple(sorted({*OURS, "tiny"}))


def test_a_package_cannot_take_the_name_of_ours(install: Install) -> None:
    install("afml_test_five", kind="masking")
    with pytest.raises(ConfigError, match="two packages bring a task masking"):
        find("masking")


def test_only_tasks_within_our_package_are_ours(install: Install) -> None:
    """Any other one runs confined, whatever its distribution calls itself."""
    folder = install("afml_test_claim")
    about = folder.with_name("afml_test_claim-1.5.dist-info") / "METADATA"
    about.write_text("Metadata-Version: 2.1\nName: afml\nVersion: 9.9\n")
    found = find("tiny")
    assert found.version == "9.9"
    assert not found.own


def test_the_same_package_met_twice_is_one(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install("afml_test_six")
    again = shutil.copytree(folder.parent, folder.parent.with_name("copy"))
    monkeypatch.syspath_prepend(again)
    assert find("tiny").version == "1.5"


def test_other_code_than_the_runs_is_refused(install: Install) -> None:
    folder = install("afml_test_seven")
    choice = find("tiny").choice
    (folder / "__init__.py").write_text(KIND + "# mended\n")
    code_digest.cache_clear()
    with pytest.raises(ConfigError) as refused:
        agreed(choice, where="run r")
    found = find("tiny").code
    assert str(refused.value) == (
        f"run r: the run names code {choice.code[:12]} of task tiny 1.5; {found[:12]} (1.5) is installed here; "
        "install the same version of it as the coordinator"
    )


def test_the_code_of_a_package_is_every_file_of_it(install: Install) -> None:
    folder = install("afml_test_eight")
    seen = [find("tiny").code]
    deep = folder / "inner" / "table.csv"

    def changed() -> None:
        code_digest.cache_clear()
        seen.append(find("tiny").code)

    deep.parent.mkdir()
    deep.write_text("1,2\n")
    changed()
    deep.write_text("1,3\n")
    changed()
    deep.rename(deep.with_name("other.csv"))
    changed()
    (folder / "more.py").write_text("")
    changed()
    assert len(set(seen)) == len(seen)
    compiled = folder / "__pycache__" / "x.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(b"x")
    changed()
    assert seen[-1] == seen[-2]
    assert compiled not in source_files(folder)


def test_text_moved_from_one_file_to_another_is_other_code(install: Install) -> None:
    """A name within a file is not the name of a file."""
    package = "afml_test_nine"
    folder = install(package, source="first")
    (folder / "b.py").write_text("second")
    apart = find("tiny").code
    (folder / "b.py").unlink()
    (folder / "__init__.py").write_text(f"first\n{package}/b.py\nsecond")
    code_digest.cache_clear()
    assert find("tiny").code != apart


def test_the_code_of_our_own_tasks_is_their_room_and_the_guarantees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the rest of the house: what stands in other rooms runs at a node whatever the task."""
    installed, root = find("masking").code, Path(afml.__file__).parent
    for room in ("masking", "training", "privacy"):
        shutil.copytree(root / room, tmp_path / "afml" / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(afml, "__file__", str(tmp_path / "afml" / "__init__.py"))

    def after_changing(name: str) -> str:
        path = tmp_path / "afml" / name
        before = path.read_text()
        path.write_text(before + "\n# changed\n")
        code_digest.cache_clear()
        found = find("masking").code
        path.write_text(before)
        return found

    assert after_changing("privacy/noise.py") == installed
    changed = [after_changing(name) for name in ("masking/task.py", "masking/networks/masker.py", "training/step.py")]
    assert len({installed, *changed}) == 4


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        ("afml_test_bad:KIND", "import afml_is_not_there\n", r"cannot be imported \(ModuleNotFoundError: .*\); mend"),
        ("afml_test_bad:KIND", "raise OSError('no')\n", r"cannot be imported \(OSError: no\); mend or reinstall"),
        ("afml_test_bad:NONE", KIND, r"cannot be imported \(AttributeError: .*\); mend or reinstall its package"),
        ("afml_test_bad:HALF", KIND, "afml_test_bad:HALF is not a task kind .*; name an object with data, settings"),
    ],
)
def test_what_is_no_task_is_refused_in_one_line(
    install: Install, monkeypatch: pytest.MonkeyPatch, target: str, source: str, message: str
) -> None:
    install("afml_test_bad", target=target, source=source)
    monkeypatch.delitem(sys.modules, "afml_test_bad", raising=False)
    with pytest.raises(ConfigError, match=f"^task tiny: .*{message}") as refused:
        find("tiny").imported()
    assert "\n" not in str(refused.value)


def test_a_package_that_is_gone_is_refused(install: Install) -> None:
    shutil.rmtree(install("afml_test_gone"))
    with pytest.raises(ConfigError, match="the package afml_test_gone cannot be found; reinstall it"):
        find("tiny")


def test_a_task_may_be_a_single_module(install: Install) -> None:
    folder = install("afml_test_file")
    code = find("tiny").code
    module = folder.with_suffix(".py")
    (folder / "__init__.py").rename(module)
    shutil.rmtree(folder)
    code_digest.cache_clear()
    importlib.invalidate_caches()
    alone = find("tiny")
    assert alone.code != code
    assert source_files(module) == [module]
    module.write_text(KIND + "\n")
    code_digest.cache_clear()
    assert find("tiny").code != alone.code
