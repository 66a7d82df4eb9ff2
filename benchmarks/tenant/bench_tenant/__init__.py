"""Networks that the benchmarks train: a package of somebody else, as far as the product knows."""
