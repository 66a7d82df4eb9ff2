"""Command-line options out of settings models: an option a field, so that a new model brings its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from afml.core.config import Settings


def flag(field: str) -> str:
    """The option of a field: `panel_vcf` is `--panel-vcf`, and `schema_file` is `--schema`."""
    return "--" + field.removesuffix("_file").replace("_", "-")


def options_of(models: Mapping[str, type[Settings]]) -> list[click.Option]:
    """An option for every field of some models; all are optional, since only one of the models will be asked for.

    A name in several models is one option, with the first one's help.

    Args:
        models: What each is for, which its options' help begins with -> model.

    Raises:
        TypeError: Two models mean different types by one name.
    """
    users: dict[str, list[str]] = {}
    first: dict[str, FieldInfo] = {}
    for name, model in models.items():
        for field, info in model.model_fields.items():
            users.setdefault(field, []).append(name)
            if _bare(first.setdefault(field, info)) is not _bare(info):
                raise TypeError(f"option {flag(field)} of {name} is of another type than that of {users[field][0]}")
    return [_option(field, info, ", ".join(users[field])) for field, info in first.items()]


def _option(field: str, info: FieldInfo, users: str) -> click.Option:
    told = "" if info.is_required() or info.default in (None, ()) else f"  [default: {info.default}]"
    return click.Option(
        [flag(field), field],
        type=_type(info),
        multiple=get_origin(info.annotation) is tuple,
        help=f"{users}: {info.description or ''}{told}",
    )


def _bare(info: FieldInfo) -> Any:
    """Of `Path | None` and `tuple[Path, ...]`, Path."""
    return (get_args(info.annotation) or (info.annotation,))[0]


def _type(info: FieldInfo) -> click.ParamType[Any] | type:
    if get_origin(info.annotation) is Literal:
        return click.Choice(get_args(info.annotation))
    bare = _bare(info)
    if bare is Path:
        return click.Path(path_type=Path)
    least = next((rule.ge for rule in info.metadata if hasattr(rule, "ge")), None)
    most = next((rule.le for rule in info.metadata if hasattr(rule, "le")), None)
    if bare is float:
        return click.FloatRange(least, most)
    return bare if least is None else click.IntRange(least, most)
