"""One institution's data, said in Python as `afml prepare` is told them on a command line."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from afml.core.config import Settings, complaint
from afml.core.errors import InputError
from afml.data.holdout import HoldoutDraw
from afml.data.kind import DATA_KINDS
from node.prepare import Given

_FILE = "_file"


class Cohort:
    """The data of one institution, where they lie; nothing is read before they are prepared.

        Cohort("table", table="hospital-1.csv", schema="schema.toml")

    Attributes:
        given: As `afml prepare` gives them.
    """

    def __init__(
        self,
        data: str,
        *,
        holdout: float = 0.25,
        max_enrolments: int = 1,
        declare_held_out: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        """Say where the data are.

        Args:
            data: Kind of data, a name of `afml.data.kind.DATA_KINDS`: "genotypes", "table", "array", "images".
            holdout: Fraction of people kept out of training.
            max_enrolments: Institutions of a run, this one included, that one of its people may be enrolled at.
            declare_held_out: Whether its card says how many people are kept out of training.
            seed: Simulation only: who is held out becomes reproducible.
            options: Those of `afml prepare` for that kind of data: `table=`, `schema=`, `vcf=`, `panel_vcf=`, ...

        Raises:
            ConfigError: There is no such kind of data.
            InputError: An option is missing, or is none of that kind's.
        """
        model = DATA_KINDS.get(data, where="Cohort").options
        draw = HoldoutDraw(holdout, seed)
        self.given = Given(data, _validated(model, _fields(model, options)), draw, max_enrolments, declare_held_out)

    def __repr__(self) -> str:
        return f"Cohort({self.given.kind!r})"


def _fields(model: type[Settings], options: Mapping[str, Any]) -> dict[str, Any]:
    """Names as the command line has them -> fields: `schema` is `schema_file`; paths may be text."""
    named = {}
    for name, value in options.items():
        field = name if name in model.model_fields else name + _FILE
        if field not in model.model_fields:
            known = ", ".join(one.removesuffix(_FILE) for one in model.model_fields)
            raise InputError(f"has no option {name!r}", where="Cohort", cure=f"use {known}")
        named[field] = Path(value) if isinstance(value, PathLike) else value
    return named


def _validated(model: type[Settings], fields: Mapping[str, Any]) -> Settings:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InputError(complaint(error), where="Cohort", cure="correct this option") from None
