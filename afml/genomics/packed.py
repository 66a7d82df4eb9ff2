"""Dosages packed person by person, beside the calls of a store: what a training batch reads.

The calls lie in chunks of sites, as VCF Zarr wants them, so somebody's record lies in all of them. A round of DP-SGD
draws people at random; here a person is one row, four sites to a byte. Made once, when a store is finished.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from afml.genomics.sources.record import MISSING

PACKED = "dosage_packed"
"""The array of a store."""

_PER_BYTE = 4
_MISSING_CODE = 3
_CHUNK_BYTES = 1 << 20  # each one costs Zarr a millisecond or so, whatever is in it
_PEOPLE = 512  # at most, of one chunk
_DECODED = np.asarray([0, 1, 2, MISSING], dtype=np.int8)[(np.arange(256)[:, None] >> np.arange(0, 8, 2)) & 3]
_DECODED = np.ascontiguousarray(_DECODED).view(np.uint32).ravel()  # [256], the four dosages of a byte as one word


def pack(dosage: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Four dosages to a byte, the first one in its lowest two bits; a missing one is 3, and so is what fills the last.

    Args:
        dosage: int8 [people, S] in {0, 1, 2, -1}.

    Returns:
        uint8 [people, ceil(S / 4)].
    """
    people, sites = dosage.shape
    width = -(-sites // _PER_BYTE)
    codes = np.full((people, width, _PER_BYTE), _MISSING_CODE, dtype=np.uint8)
    codes.reshape(people, width * _PER_BYTE)[:, :sites] = dosage
    codes &= _MISSING_CODE  # -1 is all bits
    packed: NDArray[np.uint8] = codes[..., 0] | codes[..., 1] << 2 | codes[..., 2] << 4 | codes[..., 3] << 6
    return packed


def unpack(packed: NDArray[np.uint8], sites: int) -> NDArray[np.int8]:
    """The dosages of `pack`, int8 [people, sites]."""
    words = np.take(_DECODED, packed)  # [people, width], four dosages each
    return np.ascontiguousarray(words.view(np.int8).reshape(len(packed), packed.shape[1] * _PER_BYTE)[:, :sites])


class PackedDosage:
    """Dosages of many people in memory, four to a byte: as numbers they are there a few people at a time.

    Args:
        rows: What `pack` makes of them, uint8 [people, ceil(sites / 4)].
        sites: S.
    """

    def __init__(self, rows: NDArray[np.uint8], sites: int) -> None:
        self._rows, self.sites = rows, sites

    @classmethod
    def empty(cls, people: int, sites: int) -> PackedDosage:
        """Of so many people, to be `put`."""
        return cls(np.empty((people, -(-sites // _PER_BYTE)), dtype=np.uint8), sites)

    @classmethod
    def of(cls, dosage: NDArray[np.int8]) -> PackedDosage:
        """Of everybody in int8 [people, S] in {0, 1, 2, -1}."""
        return cls(pack(dosage), dosage.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, people: slice, dosage: NDArray[np.int8]) -> None:
        """Dosages of some people, int8 [some people, S]."""
        self._rows[people] = pack(dosage)

    def part(self, people: slice) -> PackedDosage:
        """Some of the people, without a copy."""
        return PackedDosage(self._rows[people], self.sites)

    def dosage(self, people: slice | NDArray[np.int64]) -> NDArray[np.int8]:
        """Of some people, int8 [some people, S]."""
        return unpack(self._rows[people], self.sites)


def create_packed(group: zarr.Group, people: int, sites: int) -> Any:
    """The empty array of a store's packed dosages, uint8 [people, ceil(sites / 4)]."""
    width = -(-sites // _PER_BYTE)
    rows = max(1, min(_PEOPLE, _CHUNK_BYTES // max(1, width), people))
    return group.create_array(
        PACKED,
        shape=(people, width),
        chunks=(rows, max(1, width)),
        dtype="uint8",
        compressors=None,  # two bits a genotype: what is left to gain would cost every batch
        dimension_names=("samples", "packed_sites"),
        attributes={"description": "panel-minor dosage, four sites to a byte from the lowest bits on, 3 is missing"},
        overwrite=True,
    )
