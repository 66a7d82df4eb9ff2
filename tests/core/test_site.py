"""The site of the documents is built without a warning, and its reference has all that the code has."""

from __future__ import annotations

import html
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx.errors import ExtensionError

import afml
from afml.api.local import RunOptions
from afml.cli.main import VERBS, cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    found = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_verb_and_option_is_in_the_reference(reference: ModuleType) -> None:
    page = reference.commands()
    for verb in VERBS:
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        waiting = [(f"afml {verb}", command)]
        while waiting:
            name, one = waiting.pop()
            section = re.search(rf"^#+ {re.escape(name)}\n(.*?)(?=^#+ |\Z)", page, re.S | re.M)
            assert section is not None, name
            for option in one.params:
                if isinstance(option, click.Option) and not option.hidden:
                    assert option.opts[-1] in section[1], f"{name} {option.opts}"
            if isinstance(one, click.Group):
                subs = {sub: one.get_command(click.Context(one), sub) for sub in one.list_commands(click.Context(one))}
                waiting += [(f"{name} {sub}", found) for sub, found in subs.items() if found and not found.hidden]


def test_every_field_of_a_file_is_in_the_reference(reference: ModuleType) -> None:
    page = reference.files()
    for title, (module, name) in reference.FILES.items():
        model = getattr(importlib.import_module(module), name)
        section = page.split(f"## {title}\n")[1].split("\n## ")[0]
        assert all(f"| `{field}` |" in section for field in model.model_fields), title


def test_every_option_of_a_run_is_in_the_reference_and_says_what_it_is(reference: ModuleType) -> None:
    section = reference.api().split("## Options of a run\n")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", section, re.M))
    assert set(rows) == set(RunOptions.__annotations__)
    assert not [name for name, words in rows.items() if len(words) < 8 or "see `" in words]


def test_attributes_are_read_out_of_a_docstring(reference: ModuleType) -> None:
    about, said = reference.described(
        "A thing.\n\nMore of it,\nin two lines.\n\nAttributes:\n    a: First,\n        and on.\n    b, c: Both.\n"
    )
    assert about == "A thing. More of it, in two lines."
    assert said == {"a": "First, and on.", "b": "Both.", "c": "Both."}


def test_every_parameter_of_the_api_has_words() -> None:
    lacking = []
    for name in (one for one in afml.__all__ if not one.startswith("_")):
        found = getattr(afml, name)
        own = vars(found).items() if isinstance(found, ModuleType) else [(name, found)]
        for of, one in own:
            if of.startswith("_") or (found is not one and getattr(one, "__module__", "") != found.__name__):
                continue
            if inspect.isclass(one):
                lacking += _without_words(of, one, inspect.getdoc(one.__init__) or "")
                verbs = {verb: getattr(found, "__func__", found) for verb, found in vars(one).items()}
                for verb, call in verbs.items():
                    if inspect.isfunction(call) and not verb.startswith("_"):
                        lacking += _without_words(f"{of}.{verb}", call)
            elif inspect.isfunction(one):
                lacking += _without_words(of, one)
    assert not lacking


def _without_words(name: str, found: Callable[..., object], more: str = "") -> list[str]:
    told = f"{inspect.getdoc(found) or ''}\n{more}"
    words = re.findall(r"^    ([\w, ]+): \S", told, re.M)  # below Args or, of a record, Attributes
    named = {one.strip() for line in words for one in line.split(",")}
    return [
        f"{name}({one})"
        for one in inspect.signature(found).parameters
        if one != "self" and one[0] != "_" and one not in named
    ]


def test_an_indented_block_of_a_docstring_is_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    module = importlib.import_module("docstrings")
    python, other = '    a = "b"\n\n    c(a)\n\n', "    $ type it\n\n"
    text = "First.\n\n{}More, and not Python:\n\n{}Args:\n    x: What.\n\n        Its own.\n"
    made = "\n".join(module.with_examples(text.format(python, other).split("\n")))
    shown = text.format(f".. code-block:: python\n\n{python}", f".. code-block:: text\n\n{other}")
    assert made == shown


def test_what_a_notebook_shows_is_on_its_page_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    page = importlib.import_module("notebooks").page
    code = new_code_cell("print('```')", outputs=[new_output("stream", name="stdout", text="```\n")])
    made = page(new_notebook(cells=[new_markdown_cell("# Title"), code]))
    assert made == "# Title\n\n````python\nprint('```')\n````\n\n````text\n```\n````\n"
    for bad in (new_output("display_data", data={"image/png": ""}), new_output("error", ename="E", evalue="")):
        with pytest.raises(ExtensionError, match="which no page shows"):
            page(new_notebook(cells=[new_code_cell("1", outputs=[bad])]))


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "tools/reference.py"], cwd=ROOT, env=environment, check=True)
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", "docs/site"]
    done = subprocess.run(
        [*build, "-d", str(tmp_path / "doctrees"), ".", str(tmp_path / "site")],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    # Notebooks are pages of it, with what they printed.
    books = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
    for book in books:
        shown = (tmp_path / "site" / "docs" / "notebooks" / f"{book.stem}.html").read_text(encoding="utf-8")
        assert "every ledger verifies" in shown
        assert "consortium" in shown
    page = (tmp_path / "site" / "docs" / "reference" / "api.html").read_text(encoding="utf-8")
    examples = [html.unescape(re.sub(r"<[^>]+>", "", one)) for one in re.findall(r"<pre>(.*?)</pre>", page, re.S)]
    assert any('LocalConsortium(cohorts, "mine", ple=0.5' in one for one in examples)
    assert re.search(r"<strong>cohorts</strong>.*?The data of every institution", page, re.S)
    links = (tmp_path / "site" / "docs" / "EXAMPLES.html").read_text(encoding="utf-8")
    assert all(f'href="notebooks/{book.stem}.html"' in links for book in books)
    # Nothing of it comes from elsewhere: pages are read offline.
    loaded = re.compile(r"""<(?:script|link|img)[^>]+(?:src|href)="(https?:|//)""")
    assert not [page.name for page in pages if loaded.search(page.read_text(encoding="utf-8"))]
