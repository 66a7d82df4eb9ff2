"""Help: every verb has its place, an example that could be typed, and a word where one is mistyped."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from afml.cli.examples import EXAMPLES, PREPARE, example_of
from afml.cli.main import SECTIONS, VERBS, cli
from afml.data.kind import DATA_KINDS
from tests.cli.test_cures import problem
from tests.processes import afml


def leaves(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from leaves(below, f"{words} {name}")
        return
    yield words, command
    for name, below in getattr(command, "further", {}).items():
        yield from leaves(below, f"{words} {name}")


def verb(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


EVERY = dict(one for name in VERBS for one in leaves(verb(name), name))


def test_every_verb_stands_in_one_section() -> None:
    placed = [name for names in SECTIONS.values() for name in names]
    assert sorted(placed) == sorted(VERBS)


def test_every_command_has_an_example_and_there_is_none_of_what_is_not() -> None:
    assert sorted(EXAMPLES) == sorted(EVERY)


@pytest.mark.parametrize("words", sorted(EVERY))
def test_an_example_could_be_typed(words: str) -> None:
    command, example = EVERY[words], EXAMPLES[words]
    assert problem(example) == ""
    assert example.startswith(f"afml {words}")
    given = shlex.split(re.split(r" >> | \| ", example)[0])[1 + len(words.split()) :]
    if words != "prepare":  # its options are those of the kind of data that is given
        command.make_context(words, given, resilient_parsing=False)
    assert f"Example:\n    {example}" in command.get_help(click.Context(command, info_name=words))


def test_each_kind_of_data_has_an_example_that_gives_what_it_must_be_told() -> None:
    assert sorted(PREPARE) == sorted(DATA_KINDS.names())
    for kind, example in PREPARE.items():
        assert problem(example) == ""
        given = shlex.split(example)[2:]
        context = verb("prepare").make_context("prepare", given)
        told = {name for name, value in context.params.items() if value not in (None, ())}
        must = {name for name, field in DATA_KINDS.get(kind).options.model_fields.items() if field.is_required()}
        assert must | {"kit", "work"} <= told
        assert context.params["data"] in (kind, None)


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("", "genotypes"), ("--data matrix", "matrix"), ("--table t.csv", "table"), ("--features f.npy", "array"),
        ("--task statistics", "genotypes"), ("--task no-such-task", "genotypes"),
    ],
)  # fmt: skip
def test_who_leaves_an_option_out_is_shown_the_example_of_that_kind_of_data(typed: str, kind: str) -> None:
    with pytest.raises(click.MissingParameter) as found:
        verb("prepare").make_context("prepare", typed.split())
    assert found.value.ctx is not None
    assert example_of(found.value.ctx) == PREPARE[kind]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("statu", "status"), ("audit shwo", "show"), ("prepair", "prepare"), ("consortium fond", "found")],
)
def test_a_mistyped_verb_is_told_what_may_be_meant(typed: str, meant: str) -> None:
    with pytest.raises(click.exceptions.NoSuchCommand) as found:
        cli.main(typed.split(), standalone_mode=False)
    assert f"Did you mean '{meant}'" in found.value.format_message()


def test_a_mistyped_option_is_told_what_may_be_meant() -> None:
    with pytest.raises(click.exceptions.NoSuchOption) as found:
        cli.main(["mask", "--kti", "kit"], standalone_mode=False)
    assert "'--kit'" in found.value.format_message()


@pytest.mark.parametrize("words", [(), ("keys",), ("audit",)])
def test_a_verb_alone_prints_its_help_over_several_lines(words: tuple[str, ...]) -> None:
    done = afml(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Usage: {' '.join(('afml', *words))} [OPTIONS] COMMAND")
    assert "\\n" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    found = CliRunner().invoke(cli, ["completion", shell])
    assert found.exit_code == 0
    assert "_AFML_COMPLETE" in found.output


def test_a_shell_that_asks_hears_verbs() -> None:
    asked = {"_AFML_COMPLETE": "bash_complete", "COMP_WORDS": "afml pre", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['afml']; from afml.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert {"plain,prepare", "plain,predict"} <= set(done.stdout.split())
