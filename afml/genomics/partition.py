"""Splitting one VCF of many people into a public panel and several institutions, for experiments.

Everybody is equally likely to be in the panel; the others are dealt out so that every institution has
the same mixture of populations. The file is split as text in one pass: genotype columns are moved,
never interpreted. INFO counts over all people (AC, AN, AF, ...) are dropped, because an institution
that held them would know the others' frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pysam
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from afml.core.files import require_file, write_bytes
from afml.core.progress import Step
from afml.genomics.bgzip import ByteSink, staged_vcf
from afml.genomics.sources.bgzf import require_bgzf
from afml.genomics.sources.record import describe_names
from afml.genomics.sources.vcf import VariantFile

_FIXED = 9  # CHROM .. FORMAT
_COUNTED = {b"AC", b"AN", b"AF", b"NS", b"MAF", b"AC_Het", b"AC_Hom", b"AC_Hemi", b"HWE", b"ExcHet"}


@dataclass(frozen=True)
class Parts:
    """Into how many parts people are split.

    Attributes:
        nodes: Institutions.
        panel_people: People in the public panel.
    """

    nodes: int
    panel_people: int = 500

    def require_people(self, people: int, where: object) -> None:
        """Refuse to split fewer people than a panel and one person per institution.

        Args:
            people: How many there are.
            where: Their file, to blame.

        Raises:
            ConfigError: Too few.
        """
        if people < self.panel_people + self.nodes:
            raise ConfigError(
                f"{people} people are too few for a panel of {self.panel_people} and {self.nodes} nodes",
                where=where,
                cure="ask for a smaller panel or for fewer nodes",
            )


@dataclass(frozen=True)
class Split:
    """What `split` wrote.

    Attributes:
        panel: The public panel's VCF.
        nodes: The VCF of institution 1, 2, ...
        people: People in the panel, then in every institution.
    """

    panel: Path
    nodes: tuple[Path, ...]
    people: tuple[int, ...]


def read_people(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Read a people table: a TSV with a header whose first column is `sample`.

    Returns:
        (column names, sample -> its row).

    Raises:
        InputError: Missing file, bad header, or a repeated sample (with its line).
    """
    require_file(path, "people table")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError("people table is not text", where=path, cure="give a tab-separated table") from None
    columns = lines[0].split("\t") if lines else []
    if not columns or columns[0].lower() != "sample":
        raise InputError("first column of the header is not 'sample'", where=path, cure="add a header line")
    rows: dict[str, list[str]] = {}
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if not line.strip():
            continue
        if fields[0] in rows:
            raise InputError(f"line {number} repeats sample {fields[0]}", where=path, cure="keep one line each")
        rows[fields[0]] = fields
    return columns, rows


def check_split(vcf: Path, people_tsv: Path, parts: Parts) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """Refuse what cannot be split, from the header of the VCF and the people table alone.

    Returns:
        (columns of the table, sample -> its row, samples of the VCF in order).

    Raises:
        InputError: An unreadable file, or samples of the VCF that the table lacks.
        ConfigError: Too few people for this split.
    """
    if parts.nodes < 1 or parts.panel_people < 1:
        raise ConfigError(f"cannot split into {parts.nodes} nodes and a panel of {parts.panel_people}", where="split")
    columns, rows = read_people(people_tsv)
    with VariantFile(vcf) as variants:
        samples = variants.samples
    unknown = [name for name in samples if name not in rows]
    if unknown:
        raise InputError(
            f"lacks {describe_names(unknown)} of {vcf.name}",
            where=people_tsv,
            cure="add their lines to the table",
        )
    parts.require_people(len(samples), vcf)
    return columns, rows, samples


def split(vcf: Path, people_tsv: Path, out: Path, parts: Parts, *, seed: int, progress: Step | None = None) -> Split:
    """Split a bgzipped VCF into `panel.vcf.gz` and `node-<k>.vcf.gz`, each with `.tbi` and people table.

    Args:
        vcf: The bgzipped VCF (text; not BCF).
        people_tsv: Table of its people; the second column, if any, is the population to balance.
        out: Folder of the parts.
        parts: How many.
        seed: Seed of the draw.
        progress: Advanced once per 1,000 records.

    Raises:
        InputError: An unreadable file, samples of the VCF that the table lacks, or a malformed record.
        ConfigError: Too few people for this split.
    """
    columns, rows, samples = check_split(vcf, people_tsv, parts)
    populations = [rows[name][1] if len(rows[name]) > 1 else "" for name in samples]
    drawn = _draw(populations, parts, np.random.default_rng(seed))
    names = ["panel", *(f"node-{node}" for node in range(1, parts.nodes + 1))]
    paths = [out / f"{name}.vcf.gz" for name in names]
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        sinks = [stack.enter_context(staged_vcf(path)) for path in paths]
        _deal(vcf, drawn, sinks, progress)
    for name, part in zip(names, drawn, strict=True):
        lines = ["\t".join(columns), *("\t".join(rows[samples[person]]) for person in part)]
        write_bytes(out / f"{name}.people.tsv", ("\n".join(lines) + "\n").encode())
    return Split(paths[0], tuple(paths[1:]), tuple(len(part) for part in drawn))


def _draw(populations: Sequence[str], parts: Parts, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Columns of the panel and of every node, each ascending."""
    order = rng.permutation(len(populations))
    panel, rest = order[: parts.panel_people], order[parts.panel_people :]
    # A stable sort keeps the random order inside a population; dealing round then balances every one.
    rest = np.asarray(sorted(rest, key=lambda person: populations[person]), dtype=np.int64)
    return [np.sort(panel), *(np.sort(rest[node :: parts.nodes]) for node in range(parts.nodes))]


def _lines(vcf: Path) -> Iterator[bytes]:
    require_bgzf(vcf)
    try:
        with pysam.BGZFile(str(vcf), "rb") as source:
            first = next(source, b"")
            if not first.startswith(b"##fileformat=VCF"):
                raise InputError("is not a text VCF", where=vcf, cure="convert it with bcftools view -Oz")
            yield first
            yield from source
    except OSError:
        raise InputError("VCF is damaged", where=vcf, cure="restore the file from its source") from None


def _deal(vcf: Path, drawn: list[NDArray[np.int64]], sinks: Sequence[ByteSink], progress: Step | None) -> None:
    pickers: list[Any] = [itemgetter(*(int(person) + _FIXED for person in part), 0) for part in drawn]
    width = _FIXED + sum(len(part) for part in drawn)
    records = 0
    for line in _lines(vcf):
        if line.startswith(b"##"):
            for sink in sinks:
                sink.write(line + b"\n")
            continue
        fields = line.split(b"\t")
        if len(fields) != width:
            raise InputError(
                f"record {records + 1} has {len(fields)} columns, not {width}",
                where=vcf,
                cure="correct this line",
            )
        if not line.startswith(b"#"):
            fields[7] = _without_counts(fields[7])
            records += 1
            if progress and records % 1000 == 0:
                progress.advance(1000)
        fixed = b"\t".join(fields[:_FIXED])
        for sink, pick in zip(sinks, pickers, strict=True):
            # The extra last item makes itemgetter return a tuple for a part of one person, too.
            sink.write(fixed + b"\t" + b"\t".join(pick(fields)[:-1]) + b"\n")


def _without_counts(info: bytes) -> bytes:
    kept = [
        entry
        for entry in info.split(b";")
        if (key := entry.partition(b"=")[0]) not in _COUNTED and not key.endswith((b"_AF", b"_AC", b"_AN"))
    ]
    return b";".join(kept) or b"."
