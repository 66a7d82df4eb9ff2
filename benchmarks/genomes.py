"""Genomes in and out: what reading a cohort takes (`genomes_ingest`), and masking it (`genomes_mask`)."""

from __future__ import annotations

from benchmarks import genomes_ingest, genomes_mask

BARS = genomes_ingest.BARS | genomes_mask.BARS


def run() -> dict[str, object]:
    """Every figure of the section; each is made by processes of its own."""
    return genomes_ingest.figures() | genomes_mask.figures()
