"""Reading CSV, TSV and Parquet in batches: whatever the size of a table, one batch of it is in memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from afml.core.errors import InputError
from afml.core.files import require_file

#: Rows of a batch at most.
ROWS_AT_ONCE = 8192
#: Of a text file that are read at a time; a batch has no more rows than these bytes hold.
_BLOCK_BYTES = 1 << 20
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")
_RESTORE = "restore the file from its source"


class TableFile:
    """A table on disk: its header is read when it is opened, its rows when they are asked for.

    Args:
        path: CSV, TSV or Parquet, by its suffix.
        delimiter: Between the cells of a text file, where the suffix does not say; `tab` for a tabulator.

    Attributes:
        columns: Names of its columns.

    Raises:
        InputError: Missing, empty or unreadable, another suffix without a delimiter, or a repeated column.
    """

    def __init__(self, path: Path, delimiter: str | None = None) -> None:
        self.path = require_file(path, "table")
        self._parquet = path.suffix.lower() in _PARQUET
        self._delimiter = _delimiter(path, delimiter)
        if path.stat().st_size == 0:
            raise InputError("table is empty", where=path, cure=_RESTORE)
        self.columns = self._parquet_columns() if self._parquet else self._text_columns()
        twice = next((name for name in self.columns if self.columns.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"has two columns '{twice}'", where=path, cure="rename or remove one")

    def __repr__(self) -> str:
        return f"TableFile({self.path.name}, {len(self.columns)} columns)"

    def require(self, names: Sequence[str]) -> None:
        """Refuse a table that lacks a column.

        Raises:
            InputError: It does; the message names the first.
        """
        absent = [name for name in names if name not in self.columns]
        if not absent:
            return
        if len(self.columns) == 1 and not self._parquet:
            shown = "tabulators" if self._delimiter == "\t" else f"'{self._delimiter}'"
            raise InputError(
                f"has one column when it is split at {shown}", where=self.path, cure="say --delimiter, or rename it"
            )
        more = f" (and {len(absent) - 1} others)" if len(absent) > 1 else ""
        raise InputError(
            f"has no column '{absent[0]}'{more}, which the schema declares",
            where=self.path,
            cure="add it, or correct the name",
        )

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        """Some columns of all rows, `ROWS_AT_ONCE` rows at most at a time.

        Args:
            names: Columns that the table has.

        Yields:
            pyarrow.RecordBatch: Columns in the order of `names`; text files give text, Parquet its own types.

        Raises:
            InputError: A row that cannot be read, or no row at all; the message holds none of its cells.
        """
        rows = 0
        try:
            for batch in self._parquet_batches(names) if self._parquet else self._text_batches(names):
                for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                    part = batch.slice(start, ROWS_AT_ONCE)
                    rows += part.num_rows
                    yield part
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            raise self._unreadable(f"cannot be read after row {rows}") from None
        if not rows:
            raise InputError("table has a header and no rows", where=self.path, cure=_RESTORE)

    def _text_columns(self) -> tuple[str, ...]:
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as source:
                header = next(csv.reader(source, delimiter=self._delimiter), [])
        except (UnicodeDecodeError, csv.Error):
            raise self._unreadable("is not text in UTF-8") from None
        if not any(header):
            raise InputError("table has no header", where=self.path, cure="name its columns in the first line")
        return tuple(header)

    def _text_batches(self, names: Sequence[str]) -> Iterator[Any]:
        uneven: list[tuple[int, int]] = []

        def note_uneven(row: Any) -> str:
            # Arrow's own message would show the row.
            uneven.append((row.expected_columns, row.actual_columns))
            return "error"

        try:
            yield from pa_csv.open_csv(
                self.path,
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=note_uneven
                ),
                # Text as it stands: what a cell means is the schema's to say, not to be guessed.
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=list(names),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            if uneven:
                wanted, found = uneven[0]
                raise self._unreadable(f"a row has {found} cells where the header has {wanted}") from None
            raise

    def _parquet_columns(self) -> tuple[str, ...]:
        try:
            with pa_parquet.ParquetFile(self.path) as file:
                return tuple(file.schema_arrow.names)
        except (pa.ArrowException, OSError):
            raise self._unreadable("is not a whole Parquet file") from None

    def _parquet_batches(self, names: Sequence[str]) -> Iterator[Any]:
        # With a buffer, Arrow reads the pages of a row group one after the other and not all of it at once.
        with pa_parquet.ParquetFile(self.path, buffer_size=_BLOCK_BYTES) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(names), use_threads=False):
                yield batch.select(list(names))

    def _unreadable(self, problem: str) -> InputError:
        return InputError(problem, where=self.path, cure="correct the table, or restore it from its source")


def _delimiter(path: Path, given: str | None) -> str:
    if path.suffix.lower() in _PARQUET:
        if given is not None:
            raise InputError("is Parquet and has no delimiter", where=path, cure="leave --delimiter out")
        return ""
    delimiter = "\t" if given == "tab" else given or _DELIMITERS.get(path.suffix.lower(), "")
    if not delimiter:
        raise InputError("is no .csv, .tsv or .parquet", where=path, cure="say --delimiter, or rename it")
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise InputError("is no delimiter", where="--delimiter", cure="give one character, or the word tab")
    return delimiter
