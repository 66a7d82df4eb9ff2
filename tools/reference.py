#!/usr/bin/env python
"""Write the pages of docs/reference/ that are made from code: commands, files, the Python API, the wire.

python tools/reference.py            # into docs/reference/; `make docs` does it before the site is built

The pages are not kept in the repository: the code is what they say, at every commit.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import afml
from afml.api.local import RunOptions
from afml.cli.main import VERBS, cli
from afml.consortium.run import RunConfig
from afml.training.planning import Rounds, Terms

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "reference"
WIRE = "proto/afml/v1/federation.proto"
#: Files that people write or read: title -> (module, class).
FILES = {
    "policy.toml: what an institution allows": ("node.policy", "Policy"),
    "serve.toml: what a daemon takes part in": ("node.serving.declared", "Serve"),
    "run.json: a run, signed by the coordinator": ("afml.consortium.run", "RunConfig"),
    "card.json: what an institution declares before a run": ("afml.consortium.card", "NodeCard"),
    "roster.json: who belongs to the consortium": ("afml.consortium.roster", "Roster"),
    "request.json: a party's public keys": ("afml.consortium.request", "Request"),
    "schema.toml: columns of a table": ("afml.data.schema", "Schema"),
    "Settings of a masking run (`--risk`, `--set`)": ("afml.masking.settings", "MaskingSettings"),
    "Settings of a statistics run": ("afml.tasks.statistics.settings", "StatisticsSettings"),
    "Settings of an association scan": ("afml.tasks.gwas.settings", "GwasSettings"),
    "Gates of `afml prepare`": ("afml.genomics.qc.settings", "GateSettings"),
    "qc.json: the quality of an institution's genotypes": ("afml.genomics.qc.report", "QcReport"),
    "report.json: what was evaluated": ("afml.evaluation.report", "Report"),
    "manifest.json of a released package": ("afml.release.package.manifest", "Manifest"),
    "publication.json of a released package": ("afml.release.package.publication", "Publication"),
}


def commands() -> str:
    """Every verb, its options and its help."""
    lines = ["# Commands", "", "Made from the code; `afml VERB --help` says the same.", ""]
    lines += [f"- [`afml {verb}`](#afml-{verb}): {about}" for verb, (_, about) in VERBS.items()]
    for verb in VERBS:
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        lines += _command(command, f"afml {verb}", 2)
    return "\n".join(lines) + "\n"


def _command(command: click.Command, name: str, depth: int) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield from ("", f"{'#' * depth} {name}", "")
    yield from (inspect.cleandoc((command.help or "").replace("\f", "")).replace("\b\n", ""), "")
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    arguments = [one.make_metavar(context) for one in command.params if isinstance(one, click.Argument)]
    within = ["COMMAND"] if isinstance(command, click.Group) else []
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *arguments, *within])
    yield from ("```text", usage, "```", "")
    if options:
        yield from ("| option | | default |", "|---|---|---|")
    for option in options:
        record = option.get_help_record(context)
        if record is not None:
            spelt, text = record
            default = re.search(r"\[(?:[^\]]*; )?default: (.*?)\]\s*$", text)
            said = "**required**" if option.required else f"`{_cell(default[1])}`" if default else ""
            about = re.sub(r"\s*\[(?:default: |required).*\]\s*$", "", text)
            yield f"| `{_cell(spelt)}` | {_cell(about)} | {said} |"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            one = command.get_command(context, sub)
            if one is not None and not one.hidden:
                yield from _command(one, f"{name} {sub}", min(depth + 1, 4))


def files() -> str:
    """Every file with a schema: its fields, their types, defaults and what they mean."""
    lines = ["# Files and settings", "", "Made from the code. Unknown keys are refused everywhere.", ""]
    for title, (module, name) in FILES.items():
        model = getattr(importlib.import_module(module), name)
        lines += [f"## {title}", ""]
        seen: set[type[BaseModel]] = set()
        lines += _model(model, seen)
    return "\n".join(lines) + "\n"


def _model(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    seen.add(model)
    about, _ = described(inspect.getdoc(model) or "")
    said = {key: words for one in reversed(model.__mro__) for key, words in described(_own(one))[1].items()}
    yield from (f"**{model.__name__}.** {about}", "", "| key | type | default | |", "|---|---|---|---|")
    inside: list[type[BaseModel]] = []
    for key, info in model.model_fields.items():
        inside += [one for one in _models(info.annotation) if one not in seen and one not in inside]
        words = said.get(key) or info.description or ""
        yield f"| `{info.alias or key}` | {_cell(_type(info.annotation))} | {_default(info)} | {_cell(words)} |"
    yield ""
    for one in inside:
        if one not in seen:
            yield from _model(one, seen)


def _own(model: type) -> str:
    """A class's own docstring, not an inherited one."""
    return inspect.cleandoc(vars(model).get("__doc__") or "")


def described(docstring: str) -> tuple[str, dict[str, str]]:
    """The text before `Attributes:`, and each attribute's words, of a docstring in Google's style."""
    head, _, tail = docstring.partition("\nAttributes:\n")
    about = " ".join(part.strip() for part in head.split("\n\n"))
    said: dict[str, str] = {}
    key = ""
    for line in tail.splitlines():
        begins = re.match(r"    ([\w, ]+): (.*)", line)
        if begins:
            key = begins[1]
            said |= {one.strip(): begins[2] for one in key.split(",")}
        elif line.startswith("        ") and key:
            said |= {one.strip(): f"{said[one.strip()]} {line.strip()}" for one in key.split(",")}
        else:
            key = ""
    return about.replace("\n", " "), said


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [found for one in get_args(annotation) for found in _models(one)]


def _type(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inside[0])
    if origin is Literal:
        return " or ".join(map(repr, inside))
    if origin in (Union, UnionType):
        return " or ".join(map(_type, inside))
    if origin is not None:
        return f"{_type(origin)}[{', '.join('...' if one is Ellipsis else _type(one) for one in inside)}]"
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True) if not info.default_factory else "..."
    return "" if value is None else f"`{_cell(repr(value) if not isinstance(value, BaseModel) else '...')}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def api() -> str:
    """What `import afml` offers, by Sphinx's autodoc."""
    lines = ["# Python API", "", "Made from the code. What is not here is not promised to stay.", ""]
    for name in sorted(one for one in afml.__all__ if not one.startswith("_")):
        found = getattr(afml, name)
        kind = "module" if isinstance(found, ModuleType) else "class" if inspect.isclass(found) else "function"
        lines += [f"## afml.{name}", "", "```{eval-rst}", f".. auto{kind}:: {_home(found, name)}"]
        lines += [*(["   :members:"] if kind != "function" else []), "```", ""]
    return "\n".join([*lines, *_run_options()])


def _run_options() -> Iterator[str]:
    """What a run may be told, wherever `options` stand above."""
    yield from ("## Options of a run", "")
    yield "`afml.LocalConsortium`, its `configure` and its `train` take them as keywords, and refuse others;"
    yield from ("[`afml configure`](commands.md#afml-configure) asks the same on the command line.", "")
    yield from ("| option | type | default | |", "|---|---|---|---|")
    fields = Rounds.model_fields | Terms.model_fields
    for name in RunOptions.__annotations__:
        info = fields[name]
        words = info.description or ""
        if found := re.fullmatch(r"see `RunConfig\.(\w+)`", words):
            words = RunConfig.model_fields[found[1]].description or words
        yield f"| `{name}` | {_cell(_type(info.annotation))} | {_default(info)} | {_cell(words)} |"
    yield ""


def _home(found: Any, name: str) -> str:
    return str(found.__name__) if isinstance(found, ModuleType) else f"{found.__module__}.{found.__name__}"


def wire() -> str:
    """The protocol, as it is compiled."""
    about = f"`{WIRE}`, whole: services, messages, and what each field means."
    return f"# Wire\n\n{about}\n\n```{{literalinclude}} ../../{WIRE}\n:language: protobuf\n```\n"


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for name, page in (("commands", commands), ("files", files), ("api", api), ("wire", wire)):
        (OUT / f"{name}.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
