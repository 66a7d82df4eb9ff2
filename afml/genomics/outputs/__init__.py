"""Writing releases: VCF, BCF and VCF Zarr, a site of everybody in memory at a time."""
