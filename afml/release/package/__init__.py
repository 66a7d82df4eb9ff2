"""A release as somebody receives it: one folder with its card, its codebook, what signs it, and how to use it."""
