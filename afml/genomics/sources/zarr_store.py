"""VCF Zarr (Czech et al. 2025) as a source of calls: what `vcf2zarr` makes of a VCF.

Arrays are read in blocks of sites. The schema is version 0.4 of the VCF Zarr specification, in Zarr formats 2 or 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.contigs import ContigNames
from afml.genomics.filters import Regions
from afml.genomics.sources.arrays import ArrayRecord, ArraySource
from afml.genomics.sources.record import Record, Span
from afml.genomics.vcf_zarr import find_array, read_array

_FILL = 0x7F800002  # the NaN behind the last value of a row, which is not a missing one
_SITES_AT_ONCE = 100_000
_NUMBERS = ("GQ", "DP", "DS", "GP")
_CURE = "make it again with vcf2zarr"


class ZarrRecord(ArrayRecord):
    """A record of a VCF Zarr store: an `ArrayRecord` with an end, INFO and the FT of its calls."""

    __slots__ = ("_end", "_ft", "_info")

    def also(self, end: int, info: Mapping[str, str], ft: list[str] | None) -> ZarrRecord:
        """The record, with what a PLINK file has not."""
        self._end, self._info, self._ft = end, info, ft
        return self

    @property
    def end(self) -> int:
        """Last base that the record speaks of."""
        return self._end

    def info(self, key: str) -> str | None:
        """An INFO value as text; see `Record.info`."""
        return self._info.get(key)

    def texts(self, field: str) -> list[str] | None:
        """FT; see `Record.texts`."""
        return self._ft if field == "FT" else None


class ZarrStore(ArraySource):
    """A VCF Zarr store.

    Args:
        path: Its folder.
        keep: Samples to give, in this order; None for all.

    Raises:
        InputError: It is none, lacks an array, or holds calls of another ploidy than two.
    """

    def __init__(self, path: Path, *, keep: Sequence[str] | None = None) -> None:
        try:
            self._group = zarr.open_group(str(path), mode="r")
        except (FileNotFoundError, ValueError, OSError):
            problem = "folder is no VCF Zarr store"
            raise InputError(problem, where=path, cure="give a file, or what vcf2zarr made") from None
        super().__init__(path, [str(name) for name in read_array(self._group, "sample_id", path)], keep)
        self._names = ContigNames(path)
        self._spelled = [str(name) for name in read_array(self._group, "contig_id", path)]
        self._chroms = [self._names.canonical(name) for name in self._spelled]
        self._contig = read_array(self._group, "variant_contig", path).astype(np.int32)
        self._pos = read_array(self._group, "variant_position", path).astype(np.int64)
        self._length = self._lengths()
        calls = find_array(self._group, "call_genotype", path)
        if calls.ndim != 3 or calls.shape[:2] != (len(self._pos), self._people) or calls.shape[2] > 2:
            raise InputError(f"calls are of shape {calls.shape}, not sites, people, 2", where=path, cure=_CURE)
        header = str(self._group.attrs.get("vcf_header", ""))
        pairs: Any = self._group.attrs.get("vcf_meta_information", [])
        self.lines = [*header.splitlines(), *(f"##{key}={value}" for key, value in pairs)]

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled -> length, where it is stated."""
        if "contig_length" not in self._group:
            return dict.fromkeys(self._spelled)
        lengths = read_array(self._group, "contig_length", self.path).tolist()
        return {name: int(length) or None for name, length in zip(self._spelled, lengths, strict=True)}

    def info_description(self, key: str) -> str | None:
        """The description of the array of an INFO key."""
        array = self._group.get(f"variant_{key}")
        return None if array is None else str(array.attrs.get("description", ""))

    def _lengths(self) -> NDArray[np.int64]:
        """Bases that each site speaks of."""
        if "variant_length" in self._group:
            return read_array(self._group, "variant_length", self.path).astype(np.int64)
        alleles = find_array(self._group, "variant_allele", self.path)
        found = [
            len(str(row[0]))
            for start in range(0, len(self._pos), _SITES_AT_ONCE)
            for row in alleles[start : start + _SITES_AT_ONCE]
        ]
        return np.asarray(found, dtype=np.int64)

    def _touching(self, spans: Sequence[Span] | None) -> NDArray[np.int64]:
        if spans is None:
            return np.arange(len(self._pos))
        wanted = Regions((contig, first - 1, last) for contig, first, last in spans)
        rows = zip(self._contig.tolist(), self._pos.tolist(), self._length.tolist(), strict=True)
        found = [n for n, row in enumerate(rows) if wanted.overlaps(self._chroms[row[0]], row[1], max(1, row[2]))]
        return np.asarray(found, dtype=np.int64)

    def _read(self, sites: NDArray[np.int64]) -> Iterator[Record]:
        if not len(sites):
            return
        calls = self._rows("call_genotype", sites)
        assert calls is not None
        if calls.shape[2] == 1:
            calls = np.concatenate([calls, np.full_like(calls, -2)], axis=2)
        alleles = self._rows("variant_allele", sites)
        assert alleles is not None
        failed = self._failed(sites)
        numbers = {name: rows for name in _NUMBERS if (rows := self._rows(f"call_{name}", sites)) is not None}
        ft = self._rows("call_FT", sites)
        info = {name: rows for name in self._info_names() if (rows := self._rows(f"variant_{name}", sites)) is not None}
        for row, site in enumerate(sites.tolist()):
            texts = [str(allele).upper() for allele in alleles[row]]
            listed = tuple(text for text in texts if text not in ("", "."))
            place = self._chroms[self._contig[site]], int(self._pos[site]), listed, failed[row]
            record = ZarrRecord(place, self._people_of(calls[row]), self.path)
            record.holding({name: _floats(self._people_of(rows[row])) for name, rows in numbers.items()})
            end = int(self._pos[site]) + max(1, int(self._length[site])) - 1
            said = {name: text for name, rows in info.items() if (text := _text(rows[row])) is not None}
            yield record.also(end, said, None if ft is None else [str(one) or "." for one in self._people_of(ft[row])])

    def _people_of(self, row: NDArray[Any]) -> NDArray[Any]:
        return row if self._kept is None else row[self._kept]

    def _rows(self, name: str, sites: NDArray[np.int64]) -> NDArray[Any] | None:
        if name not in self._group:
            return None
        array: Any = self._group[name]
        first, stop = int(sites[0]), int(sites[-1]) + 1
        try:
            if stop - first == len(sites):
                return np.asarray(array[first:stop])
            return np.asarray(array.oindex[(sites, *(slice(None) for _ in array.shape[1:]))])
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            raise InputError(f"array {name} cannot be read ({error})", where=self.path, cure=_CURE) from None

    def _failed(self, sites: NDArray[np.int64]) -> list[tuple[str, ...]]:
        flags = self._rows("variant_filter", sites)
        if flags is None or "filter_id" not in self._group:
            return [()] * len(sites)
        names = [str(name) for name in read_array(self._group, "filter_id", self.path)]
        return [tuple(name for name, set_ in zip(names, row, strict=True) if set_ and name != "PASS") for row in flags]

    def _info_names(self) -> list[str]:
        """INFO keys: arrays of sites that the specification does not name itself."""
        own = {"contig", "position", "length", "allele", "id", "id_mask", "quality", "filter"}
        names = (name.removeprefix("variant_") for name in self._group.array_keys() if name.startswith("variant_"))
        return [name for name in names if name not in own]


def _floats(values: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers of one site, [people, values]; integers below 0 are missing or fill."""
    if values.dtype.kind in "iu":
        values = np.where(values < 0, np.nan, values)
    found = np.where(np.isnan(values), np.float32(np.nan), values).astype(np.float32)  # of signalling NaNs quiet ones
    return found[:, None] if found.ndim == 1 else found


def _text(value: Any) -> str | None:
    """An INFO value as text, None where it is missing; an integer of -1 or -2 is missing or fill."""
    row = np.atleast_1d(np.asarray(value))
    if row.dtype.kind == "b":
        return "" if bool(row[0]) else None
    if row.dtype.kind in "iu":
        texts = ["." if one == -1 else str(one) for one in row.tolist() if one != -2]
    elif row.dtype.kind == "f":
        words = row.astype(np.float32).view(np.uint32)
        texts = ["." if np.isnan(one) else str(one) for one, word in zip(row, words, strict=True) if word != _FILL]
    else:
        texts = [str(one) for one in row if str(one) != ""]
    return ",".join(texts) if any(text != "." for text in texts) else None
