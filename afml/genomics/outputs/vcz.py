"""Releases as VCF Zarr 0.4, in Zarr format 2, which vcf2zarr writes by itself: read by vcztools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import staged_folder
from afml.genomics.outputs.contents import Contents, Form
from afml.genomics.vcf_zarr import region_index

#: Alleles of a call by ALT copies; the last entry is that of -1.
_GENOTYPE = np.asarray([[0, 0], [0, 1], [1, 1], [-1, -1]], dtype=np.int8)
#: Chunks as vcf2zarr has them: at most 20 MB of calls.
_SITES, _PEOPLE = 1_000, 10_000


class VcfZarr(Form):
    """A folder of chunks, for array programs."""

    suffix = ".vcz"
    indexes = ()

    def write(self, out: Path, contents: Contents, sites: range, *, csi: bool) -> None:
        """Write the folder `out`; regions are found by its own index.

        Raises:
            InputError: `out` is there and is no Zarr group.
        """
        if out.exists() and not (out / ".zgroup").is_file():
            raise InputError("exists and is not a released store", where=out, cure="move it away")
        with staged_folder(out) as staged:
            group = zarr.open_group(str(staged), mode="w", zarr_format=2)
            pairs = [line.removeprefix("##").split("=", 1) for line in contents.header]
            group.attrs.update({"vcf_zarr_version": "0.4", "source": "afml", "vcf_meta_information": pairs})
            for name, (dimensions, values) in _described(contents, sites).items():
                _create(group, name, dimensions, values.shape, values.dtype)[...] = values
            shape = (len(sites), len(contents.names), 2)
            # False everywhere, so that not a chunk of it is stored; vcztools asks for it.
            _create(group, "call_genotype_phased", ("variants", "samples"), shape[:2], np.dtype(np.bool_))
            calls = _create(group, "call_genotype", ("variants", "samples", "ploidy"), shape, np.dtype(np.int8))
            for first in range(0, shape[0], _SITES):
                coded = _GENOTYPE[contents.alt_copies[:, sites[first : first + _SITES]]]  # [records, sites, ploidy]
                for column in range(0, shape[1], _PEOPLE):
                    shown = coded[contents.shows[column : column + _PEOPLE]].swapaxes(0, 1)
                    calls[first : first + _SITES, column : column + _PEOPLE] = shown


def _described(contents: Contents, sites: range) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    """(dimensions, content) of every array but the calls."""
    panel, contigs = contents.panel, contents.of(sites)
    number = {contig: index for index, contig in enumerate(contigs)}
    contig = np.asarray([number[panel.chrom[site]] for site in sites], dtype=np.int32)
    position = panel.pos[sites.start : sites.stop]
    length = np.asarray([len(panel.ref[site]) for site in sites], dtype=np.int64)
    alleles = np.asarray([[panel.ref[site], panel.alt[site]] for site in sites], dtype=object).reshape(-1, 2)
    return {
        "sample_id": (("samples",), np.asarray(contents.names, dtype=object)),
        "contig_id": (("contigs",), np.asarray(contigs, dtype=object)),
        "filter_id": (("filters",), np.asarray(["PASS"], dtype=object)),
        "variant_contig": (("variants",), contig),
        "variant_position": (("variants",), position),
        "variant_length": (("variants",), length),
        "variant_allele": (("variants", "alleles"), alleles),
        "region_index": (
            ("region_index_values", "region_index_fields"), region_index(contig, position, length, _SITES),
        ),
    }  # fmt: skip


def _create(group: zarr.Group, name: str, dimensions: tuple[str, ...], shape: tuple[int, ...], dtype: Any) -> Any:
    most = {"variants": _SITES, "samples": _PEOPLE}
    return group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, min(size, most.get(of, size))) for of, size in zip(dimensions, shape, strict=True)),
        dtype=str if dtype.hasobject else dtype,
        fill_value=-1 if name == "call_genotype" else None,
        attributes={"_ARRAY_DIMENSIONS": list(dimensions)},
    )


FORM = VcfZarr()
