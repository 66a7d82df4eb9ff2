"""The layout is the map: sizes that keep files, functions and classes readable, and a page that is the tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("afml", "crypto", "node", "aggregator", "benchmarks", "tools", "tests")
GENERATED = ("afml/wire/",)
LINES, PARAMETERS, METHODS = 300, 6, 15
#: A file that must be one: an auditor is handed it alone.
ALONE = {"afml/dossier/standalone.py": 800}
#: Functions that may have more parameters than that, in the whole product.
MANY = 5


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.relative_to(ROOT).as_posix().startswith(GENERATED):
                yield path


@cache
def _parsed() -> list[tuple[str, ast.Module]]:
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in _files()]


def test_no_file_is_longer_than_one_subject() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n") for path in _files()}
    assert not {where: n for where, n in lengths.items() if n > ALONE.get(where, LINES)}


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def _is_click(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("click" in ast.unparse(one) or ".command" in ast.unparse(one) for one in function.decorator_list)


def test_few_functions_have_many_parameters() -> None:
    many = [
        f"{where}: {node.name}"
        for where, tree in _parsed()
        if not where.startswith("tests/")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if _parameters(node) > PARAMETERS and not _is_click(node)
    ]
    assert len(many) <= MANY, many


def test_no_class_does_everything() -> None:
    large = {}
    for where, tree in _parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                functions = [one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
                public = {name for name in functions if not name.startswith("_")}
                if len(public) > METHODS:
                    large[f"{where}: {node.name}"] = len(public)
    assert not large


def test_the_architecture_page_is_the_tree_on_disk() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "map.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
