"""Private rounds, the public game, and releases: everything that trains or applies a model."""
