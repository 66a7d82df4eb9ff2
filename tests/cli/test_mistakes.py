"""docs/MISTAKES.md: every command of the page is typed, and the line beside it is what is said."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from afml.core import errors
from tests.cli.institution import Institution, listing
from tests.cli.zygote import Zygote

PAGE = Path(__file__).parents[2] / "docs" / "MISTAKES.md"
ROWS = re.findall(r"^\| `(afml [^`]+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, good: Institution, afml: Zygote) -> Path:
    """An institution's folder, and what of others' it has seen."""
    place = tmp_path_factory.mktemp("a desk")
    for name, source in {
        "kit": "kits/node-1", "other-kit": "kits/node-2", "coordinator": "kits/coordinator", "sum": "kits/aggregator",
        "work": "work-1", "other-work": "work-2",
    }.items():  # fmt: skip
        shutil.copytree(good.root / source, place / name)
    for name, source in {"mine.vcf.gz": "own.vcf.gz", "panel.vcf.gz": "panel.vcf.gz", "mine.tsv": "people.tsv"}.items():
        shutil.copyfile(good.root / source, place / name)
    for name, kit in {"a.json": "kit", "b.json": "other-kit", "sum.json": "sum"}.items():
        shutil.copyfile(place / kit / "request.json", place / name)
    (place / "misspelt.tsv").write_text((place / "mine.tsv").read_text().replace("phenotype", "phenotpye", 1))
    (place / "here").mkdir(mode=0o700)
    for folder in ("package", "bench"):
        (place / folder).mkdir(mode=0o700)
    (place / "bench" / "bench.json").touch()
    (place / "package" / "manifest.json").write_text('{"consortium": "no')
    for policy in ("kit", "other-kit"):
        (place / policy / "policy.toml").unlink(missing_ok=True)
    shutil.copytree(place / "kit", place / "strict")
    how = ("--noise", "local", "--quorum", 2, "--max-colluding", 0, "--rounds", 2, "--ple", 0.5, "--run", "first")
    for words in (
        ("keys", "init", "--out", "new-coordinator", "--role", "coordinator"),
        ("policy", "init", "--kit", "kit", "--quorum", 2, "--trust", 2, "--approval"),
        ("policy", "init", "--kit", "strict", "--quorum", 3),
        ("configure", "work/card.json", "other-work/card.json", "--kit", "coordinator", *how, "--out", "run.json"),
        ("run", "approve", "run.json", "--kit", "kit", "--work", "work"),
    ):
        done = afml(*words, cwd=place)
        assert done.code == 0, done.err
    return place


def looked_at(place: Path) -> dict[str, str]:
    """Every file, but for what a node says of itself and SQLite's own beside a database that somebody read."""
    return {
        path: digest for path, digest in listing(place).items() if not path.endswith(("standing.json", "-shm", "-wal"))
    }


def test_there_are_forty_and_more() -> None:
    assert len(ROWS) >= 40
    assert len({typed for typed, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("typed", "said"), ROWS, ids=[typed for typed, _ in ROWS])
def test_a_mistake_gets_its_line_and_changes_nothing(desk: Path, afml: Zygote, typed: str, said: str) -> None:
    before = looked_at(desk)
    done = afml(*shlex.split(typed)[1:], cwd=desk)
    pattern = re.escape(said.replace("\\|", "|")).replace(re.escape("..."), ".+")
    assert re.fullmatch(pattern, done.complaint()), done.err
    assert looked_at(desk) == before


def test_the_table_of_exit_codes_is_that_of_the_errors() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M))
    waiting, codes = [errors.AfmlError], set()
    while waiting:
        one = waiting.pop()
        codes.add(one.exit_code)
        waiting += one.__subclasses__()
    assert set(map(int, rows)) == codes | {130}
