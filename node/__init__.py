"""The institution's process: pull a round, train, spend, encrypt, submit, apply."""

import afml  # noqa: F401 - before gRPC is loaded: see afml.core.tls13
