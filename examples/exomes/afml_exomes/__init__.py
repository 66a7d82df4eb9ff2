"""A simulated trait from real genotypes: an example of a task for AFML."""
