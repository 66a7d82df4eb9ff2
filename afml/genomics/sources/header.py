"""The header of a VCF, which BCF carries as text, too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from afml.core.errors import InputError
from afml.genomics.sources.record import describe_names

FIXED_COLUMNS = 9  # CHROM .. FORMAT
_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_SHOW = "correct the header (bcftools view -h shows it)"
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,>]*)')
_LENGTH = re.compile(r"[0-9]{1,18}\Z")
_FROM_16 = "iconv -f UTF-16 -t UTF-8"
_MARKS = {b"\xef\xbb\xbf": "tail -c +4", b"\xff\xfe": _FROM_16, b"\xfe\xff": _FROM_16}
"""What an editor puts before the first letter, and what takes it away."""
_ESCAPED = re.compile(r"\\(.)")


class Header:
    """What a VCF header declares.

    Args:
        lines: Its lines, without line ends, down to the one that names the columns.
        path: The file, for messages.

    Attributes:
        lines: The meta lines (`##...`).
        samples: Names of the genotype columns.
        contigs: Contigs as spelled -> length in bases, None where no length is stated.
        declared: (what, fields) of every structured line in order: ("INFO", {"ID": "CSQ", ...}).

    Raises:
        InputError: A line is not text or not a header line, there is no column line, or it names a sample twice.
    """

    def __init__(self, lines: Sequence[bytes], path: Path) -> None:
        self._path = path
        _require_unmarked(lines, path)
        text = [self._decoded(line, number) for number, line in enumerate(lines, start=1)]
        if not text or not text[-1].startswith("#CHROM"):
            raise InputError("VCF header has no #CHROM line", where=path, cure=_SHOW)
        if not text[0].startswith("##fileformat=VCF"):
            raise InputError("VCF header is malformed: its first line is not ##fileformat=VCF", where=path, cure=_SHOW)
        for number, line in enumerate(text[:-1], start=1):
            if not line.startswith("##"):
                problem = f"line {number} of the header is {'no ## line' if line.strip() else 'blank'}"
                raise InputError(problem, where=path, cure=_SHOW)
        self.lines = text[:-1]
        self.declared = [found for line in self.lines if (found := _structured(line)) is not None]
        self.contigs: dict[str, int | None] = {}
        self._descriptions: dict[str, str] = {}
        for what, fields in self.declared:
            if what == "contig":
                length = fields.get("length", "")
                self.contigs[fields["ID"]] = int(length) if _LENGTH.match(length) else None
            elif what == "INFO" and "Description" in fields:
                self._descriptions.setdefault(fields["ID"], fields["Description"])
        self.samples = self._named(text[-1])

    def description(self, key: str) -> str | None:
        """The Description of an INFO key, without its quotes; None where the header lacks the key."""
        return self._descriptions.get(key)

    def _decoded(self, line: bytes, number: int) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            what = "column names are" if line.startswith(b"#CHROM") else "is"
            raise InputError(
                f"line {number} of the header: {what} not UTF-8 text",
                where=self._path,
                cure="convert it (iconv -f latin1)",
            ) from None

    def _named(self, line: str) -> list[str]:
        columns = line.split("\t")
        if tuple(columns[: len(_COLUMNS)]) != _COLUMNS or columns[len(_COLUMNS) : FIXED_COLUMNS] not in (
            [],
            ["FORMAT"],
        ):
            raise InputError(
                "VCF header is malformed: its columns are not CHROM ... INFO, FORMAT", where=self._path, cure=_SHOW
            )
        samples = columns[FIXED_COLUMNS:]
        doubles = [name for name, times in Counter(samples).items() if times > 1]
        if doubles:
            raise InputError(
                f"VCF header names {describe_names(doubles)} more than once",
                where=self._path,
                cure="give every column its own name",
            )
        if "" in samples:
            raise InputError("VCF header has a column without a name", where=self._path, cure=_SHOW)
        return samples


def _require_unmarked(lines: Sequence[bytes], path: Path) -> None:
    """Refuse a byte-order mark.

    Raises:
        InputError: Says how to take it away.
    """
    for mark, without in _MARKS.items():
        if lines and lines[0].startswith(mark):
            problem = "VCF begins with the byte-order mark of a text editor, not with ##fileformat=VCF"
            raise InputError(problem, where=path, cure=f"take it away (bgzip -dc FILE | {without} | bgzip > NEW)")


def _structured(line: str) -> tuple[str, dict[str, str]] | None:
    """`##INFO=<ID=DP,...>` as ("INFO", {"ID": "DP", ...}); None for a line of another form or without an ID."""
    what, _, rest = line[2:].partition("=<")
    if not rest.endswith(">"):
        return None
    fields: dict[str, str] = {}
    for key, value in _FIELD.findall(rest):
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        fields.setdefault(key, _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value)
    return (what, fields) if "ID" in fields else None
