"""Writing bgzipped, indexed VCF files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pysam

from afml.core.errors import InputError
from afml.core.files import staged_file, sync_folder

# pysam carries its own htslib; silence the lines it would print beside ours.
pysam.set_verbosity(0)


class ByteSink(Protocol):
    """Where the bytes of a file are written."""

    def write(self, data: bytes) -> Any:
        """Append bytes."""
        ...


@contextlib.contextmanager
def staged_vcf(path: Path) -> Iterator[ByteSink]:
    """Yield a sink for the text of a VCF; on success put the bgzipped file and its `.tbi` into place.

    Both are made beside the target under other names. The old index goes before the new VCF comes, so
    that at no instant an index stands beside a VCF it was not made from.

    Raises:
        InputError: The records are not sorted.
    """
    index = path.with_name(path.name + ".tbi")
    with staged_file(index) as staged_index, contextlib.ExitStack() as stack:
        staged = stack.enter_context(_removed_at_end(path.with_name(f".{os.getpid()}.{path.name}")))
        sink = pysam.BGZFile(str(staged), "wb")
        try:
            yield sink
        finally:
            sink.close()
        try:
            pysam.tabix_index(str(staged), preset="vcf", force=True, index=str(staged_index))
        except OSError:
            raise InputError(
                "cannot be indexed: its records are not sorted",
                where=path,
                cure="sort the input (bcftools sort)",
            ) from None
        with staged.open("rb") as handle:
            os.fsync(handle.fileno())
        index.unlink(missing_ok=True)
        os.replace(staged, path)
        sync_folder(path.parent)


@contextlib.contextmanager
def _removed_at_end(path: Path) -> Iterator[Path]:
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def header_lines(contigs: Sequence[str], extra: Sequence[str], samples: Sequence[str]) -> bytes:
    """The header of a VCF whose only FORMAT field is GT.

    Args:
        contigs: Contig names, in the order of the records.
        extra: Further `##` lines.
        samples: Column names.
    """
    lines = [
        "##fileformat=VCFv4.3",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        *(f"##contig=<ID={contig}>" for contig in contigs),
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        *extra,
        "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples)),
    ]
    return ("\n".join(lines) + "\n").encode()
