"""Which columns a run reads of an institution's table, beside genotypes, and whether the one here has them.

A card says nothing of columns, so that whoever configures a run cannot know who has them; each institution does.
"""

from __future__ import annotations

from afml.consortium.run import RunConfig
from afml.data.columns import Column, Trait
from afml.data.prepared import Prepared
from afml.masking.chosen import NAME as MASKING
from afml.masking.chosen import masking_settings
from afml.masking.enrolled import read_columns
from afml.tasks.gwas.kind import NAME as GWAS
from afml.tasks.gwas.people import columns_of
from afml.tasks.gwas.settings import GwasSettings


def read_by(config: RunConfig) -> tuple[str, ...]:
    """The columns, each with what it holds: `phenotype (0 or 1)`; of a task of whose columns nothing is known, none."""
    if config.task.kind == MASKING:
        risk = masking_settings(config).risk
        classes = [f"{one.name} (a class)" for one in risk.attributes if one.source == "people"]
        return (*map(_told, risk.diseases), *classes, *map(_told, risk.covariates))
    if config.task.kind == GWAS:
        scan = GwasSettings.model_validate(config.task.settings)
        return tuple(map(_told, (scan.trait, *scan.covariates)))
    return ()


def require_read(config: RunConfig, prepared: Prepared) -> None:
    """Refuse a prepared table that lacks one of them.

    Raises:
        InputError: A column is missing or incomplete, or holds something else than the run declares.
    """
    if config.task.kind == MASKING:
        read_columns(prepared.people, masking_settings(config).risk, where=prepared.table)
    elif config.task.kind == GWAS:
        enrolled = prepared.people.rows(prepared.enrolled)
        columns_of(GwasSettings.model_validate(config.task.settings), enrolled.columns, where=prepared.table)


def _told(column: Column) -> str:
    return f"{column.name} ({'0 or 1' if isinstance(column, Trait) and column.kind == 'binary' else 'a number'})"
