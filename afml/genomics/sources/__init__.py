"""Whatever holds calls, read through one protocol: VCF, BCF, PLINK 1 and 2, VCF Zarr, one file or many."""
