"""How well a model does: exactly on an institution's own held-out people, and over all institutions with noise."""
