"""AFML: train a genotype-masking network across institutions that may not share genomes."""

__version__ = "0.1.0"
