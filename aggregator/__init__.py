"""The aggregator: admits nodes, fixes cohorts, adds ciphertexts it cannot read, keeps a transcript."""

import afml  # noqa: F401 - before gRPC is loaded: see afml.core.tls13
