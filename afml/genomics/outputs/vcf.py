"""Releases as bgzipped VCF 4.3, with a TBI or CSI index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from afml.genomics.bgzip import header_lines, staged_variants
from afml.genomics.outputs.contents import Contents, Form

#: Genotype text by ALT copies; the last entry is that of -1. Unphased by construction.
_GENOTYPE = np.asarray([b"\t0/0", b"\t0/1", b"\t1/1", b"\t./."], dtype="S4")
#: A TBI index holds positions below this (SAMv1, section 5.2); longer contigs need CSI.
_TBI_END = 1 << 29


class Vcf(Form):
    """Text, bgzipped: read by everything."""

    suffix = ".vcf.gz"
    indexes = (".tbi", ".csi")

    def write(self, out: Path, contents: Contents, sites: range, *, csi: bool) -> None:
        """Write `out` and `out` + `.tbi` (`.csi` where that is wanted, or a position does not fit into TBI)."""
        panel = contents.panel
        long = any(int(panel.pos[site]) + len(panel.ref[site]) > _TBI_END for site in sites)
        with staged_variants(out, ".csi" if csi or long else ".tbi", stale=self.indexes) as sink:
            sink.write(header_lines(contents.of(sites), ["##source=afml", *contents.header], contents.names))
            for site, shown in zip(sites, contents.genotypes(sites, _GENOTYPE), strict=True):
                chrom, pos, ref, alt = panel.key(site)
                sink.write(f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\tGT".encode())
                sink.write(shown + b"\n")


FORM = Vcf()
