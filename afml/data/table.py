"""Tables as a kind of data: a row is a person's, its columns are features and targets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.data.encode import Encoded, TableEncoder
from afml.data.kind import Built, Note
from afml.data.rows import RowsKind, TableOptions, load_schema, store_rows


class TableData(RowsKind):
    """CSV, TSV and Parquet."""

    def build(self, out: Path, options: Settings, note: Note) -> Built:
        """Encode and store a table, batch by batch; see `DataKind.build`."""
        given = cast(TableOptions, options)
        schema = load_schema(given.schema_file, "table")
        note("encoding the table")
        return store_rows(out, given, schema, _features)


def _features(encoder: TableEncoder, batch: Any, encoded: Encoded) -> Iterator[NDArray[np.float32]]:
    yield encoded.features


TABLE = TableData()
