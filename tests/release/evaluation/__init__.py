"""Tests of `afml.release.evaluation`."""
