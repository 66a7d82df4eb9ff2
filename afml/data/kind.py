"""Kinds of data: the forms in which an institution's data come, each an object that stores them for a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from afml.consortium.card import DataAgreement
from afml.core.config import Settings
from afml.core.registry import Registry
from afml.data.people import PersonColumns

Note = Callable[[str], None]


class Built(NamedTuple):
    """What a data kind has stored.

    Attributes:
        samples: Names of the people, in the order of what is stored; a person once, whatever rows they have.
        columns: Numbers known of each of them beside the stored data: traits, covariates.
        data: What the node's card declares.
    """

    samples: tuple[str, ...]
    columns: PersonColumns
    data: DataAgreement


class DataKind(Protocol):
    """A form in which an institution's data come.

    Attributes:
        options: What `afml prepare` must be told of the data. Each field is one of its options, with its description
            as help: `panel_vcf` is `--panel-vcf`, `schema_file` is `--schema`.
        unit: What one of the card's `features` is called, in the plural.
    """

    options: type[Settings]
    unit: str

    def build(self, out: Path, options: Settings, note: Note) -> Built:
        """Read, check and store an institution's data.

        Args:
            out: An empty folder; what everybody may see goes to `out / "public"`, people to `out / "private"`.
            options: An object of `options`.
            note: Told what is happening.

        Raises:
            InputError: Anything wrong with a file; names the file, the place and the cure.
        """
        ...

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """What the person who prepared should know of what is stored, in lines without a person's value.

        Args:
            folder: The folder that `build` filled.
        """
        ...

    def marks(self, folder: Path) -> Iterable[tuple[bytes, ...]]:
        """What tells a person's record again under another name (`afml.data.marks`), for everybody in stored order.

        Args:
            folder: The folder that `build` filled.
        """
        ...


DATA_KINDS: Registry[DataKind] = Registry(
    "kind of data",
    {
        "genotypes": "afml.genomics.kind:GENOTYPES",
        "matrix": "afml.matrices.kind:MATRIX",
        "table": "afml.data.table:TABLE",
        "array": "afml.data.array:ARRAY",
        "images": "afml.data.images:IMAGES",
    },
)
