"""The aggregator: admits nodes, fixes cohorts, adds ciphertexts it cannot read, keeps a transcript."""
