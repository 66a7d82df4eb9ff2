"""The ledger: what an institution spent of its people's privacy, kept so that nobody can quietly edit it."""
