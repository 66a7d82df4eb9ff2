"""Genotypes: VCF in and out, the sites that institutions agree on, stores of calls at them."""
