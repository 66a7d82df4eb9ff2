"""How many connections are let in: so many that files are left for what came over them."""

from __future__ import annotations

import resource
from typing import TypeAlias

from afml.consortium import limits
from afml.consortium.connection import AGGREGATOR

Options: TypeAlias = list[tuple[str, int]]


def listening_options(nodes: int) -> Options:
    """Options of the aggregator's server; by the way, this process gets as many file handles as the system gives it.

    Args:
        nodes: Of the run, or of all runs that are served at a time.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = limits.MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, limits.MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    files = most if soft == resource.RLIM_INFINITY else soft
    kept = limits.FILES_KEPT + limits.FILES_PER_NODE * nodes
    return [
        *AGGREGATOR,
        ("grpc.max_allowed_incoming_connections", max(limits.FEWEST_CONNECTIONS, files - kept)),
        ("grpc.server_handshake_timeout_ms", limits.HANDSHAKE_S * 1000),
        ("grpc.max_connection_idle_ms", limits.IDLE_S * 1000),
    ]
