"""Releases: methods that turn DP scores into masked records, and groups of at least k."""
