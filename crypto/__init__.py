"""Blind sums: `crypto.public` is all the aggregator may import, `crypto.secret` holds keys."""
