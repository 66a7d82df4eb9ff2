"""Association scans: which sites of the genome go with a trait, over all institutions, in two noised releases."""
