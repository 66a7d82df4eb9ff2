"""How a release does at all institutions together: noised sums of what each finds of its own file, paid for."""
