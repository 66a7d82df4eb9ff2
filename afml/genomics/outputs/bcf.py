"""Releases as BCF 2.2 (VCFv4.3 specification, section 6), with a CSI index: half the text, read without parsing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from afml.genomics.bgzip import header_lines, staged_variants
from afml.genomics.outputs.contents import Contents, Form

#: (allele + 1) << 1 twice, by ALT copies; the last entry is that of -1. Unphased by construction.
_GENOTYPE = np.asarray([b"\x02\x02", b"\x02\x04", b"\x04\x04", b"\x00\x00"], dtype="V2")
_MISSING_FLOAT = 0x7F800001
_EMPTY_STRING, _EMPTY_VECTOR = b"\x07", b"\x00"
#: Key 1 of the header's dictionary (PASS is 0, GT the only other entry), then a pair of int8 for each column.
_GT = b"\x11\x01\x21"


class Bcf(Form):
    """Binary."""

    suffix = ".bcf"
    indexes = (".csi",)

    def write(self, out: Path, contents: Contents, sites: range, *, csi: bool) -> None:
        """Write `out` and `out` + `.csi`."""
        panel, contigs = contents.panel, contents.of(sites)
        number = {contig: index for index, contig in enumerate(contigs)}
        header = header_lines(contigs, ["##source=afml", *contents.header], contents.names) + b"\0"
        counts = 2 << 16, 1 << 24 | len(contents.names)  # alleles and no INFO; one FORMAT field and the columns
        with staged_variants(out, ".csi", stale=self.indexes) as sink:
            sink.write(b"BCF\2\2" + struct.pack("<I", len(header)) + header)
            for site, shown in zip(sites, contents.genotypes(sites, _GENOTYPE), strict=True):
                chrom, pos, ref, alt = panel.key(site)
                place = struct.pack("<iiiIII", number[chrom], pos - 1, len(ref), _MISSING_FLOAT, *counts)
                shared = place + _EMPTY_STRING + _string(ref) + _string(alt) + _EMPTY_VECTOR
                sink.write(struct.pack("<II", len(shared), len(_GT) + len(shown)) + shared + _GT)
                sink.write(shown)


def _string(text: str) -> bytes:
    """A typed string: its length in the first byte, or after it as a typed integer."""
    body = text.encode()
    if len(body) < 15:
        return bytes([len(body) << 4 | 7]) + body
    if len(body) < 1 << 7:
        return b"\xf7\x11" + struct.pack("<b", len(body)) + body
    if len(body) < 1 << 15:
        return b"\xf7\x12" + struct.pack("<h", len(body)) + body
    return b"\xf7\x13" + struct.pack("<i", len(body)) + body


FORM = Bcf()
