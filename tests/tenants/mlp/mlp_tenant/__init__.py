"""Somebody else's task."""
