"""Association scans: which sites of the genome go with a trait, over all institutions, from noised sums alone."""
