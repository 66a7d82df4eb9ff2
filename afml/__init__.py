"""AFML: train a genotype-masking network across institutions that may not share genomes."""

from afml.core import tls13 as _tls13  # noqa: F401 - before anybody loads gRPC

__version__ = "0.1.0"
