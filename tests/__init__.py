import afml  # noqa: F401 - before gRPC is loaded: see afml.core.tls13
