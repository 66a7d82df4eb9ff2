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

    Raises:
        InputError: The records are not sorted.
    """
    with staged_variants(path, ".tbi", stale=(".tbi",)) as sink:
        yield sink


@contextlib.contextmanager
def staged_variants(path: Path, index: str, *, stale: Sequence[str]) -> Iterator[ByteSink]:
    """Yield a sink for a VCF or BCF; on success put the bgzipped file and its index into place.

    Both are made beside the target under other names. Old indexes go before the new file comes, so that at no instant
    an index stands beside a file that it was not made from.

    Args:
        path: The file; BCF where its name ends so.
        index: `.tbi` or `.csi`.
        stale: How the names of indexes end that may stand beside an earlier file.

    Raises:
        InputError: The records are not sorted.
    """
    placed = path.with_name(path.name + index)
    with staged_file(placed) as staged_index, contextlib.ExitStack() as stack:
        staged = stack.enter_context(_removed_at_end(path.with_name(f".{os.getpid()}.{path.name}")))
        sink = pysam.BGZFile(str(staged), "wb")
        try:
            yield sink
        finally:
            sink.close()
        preset = "bcf" if path.suffix == ".bcf" else "vcf"
        try:
            pysam.tabix_index(str(staged), preset=preset, force=True, index=str(staged_index), csi=index == ".csi")
        except OSError:
            raise InputError(
                "cannot be indexed: its records are not sorted",
                where=path,
                cure="sort the input (bcftools sort)",
            ) from None
        with staged.open("rb") as handle:
            os.fsync(handle.fileno())
        for old in stale:
            path.with_name(path.name + old).unlink(missing_ok=True)
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
