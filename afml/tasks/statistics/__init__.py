"""Counts, means, histograms, cross tables, allele frequencies: one noised release of a vector that every person has."""
