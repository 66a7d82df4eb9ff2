"""How a connection is kept alive: both ends of the wire agree, so that neither takes the other's care for an attack.

A node asks every half minute whether the aggregator is there, also while it has nothing to say: routers on the way
forget connections that are silent for a minute. The aggregator allows that, and asks itself, so that what is left of a
node that vanished is cleared away.
"""

from __future__ import annotations

from afml.consortium.limits import MAX_MESSAGE
from afml.consortium.route import Address

PING_S, ANSWER_S = 30, 20
"""Seconds between two questions whether the other end is there, and for its answer."""
GONE_S = PING_S + ANSWER_S + 10.0
"""Seconds after which both ends know that the other one is gone, however it went."""
MOST_PAUSE_S = 10.0
"""Seconds between two tries to reach an aggregator that is away, at most."""

_BOTH = [
    ("grpc.keepalive_time_ms", PING_S * 1000),
    ("grpc.keepalive_timeout_ms", ANSWER_S * 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # as many as there is silence
    ("grpc.max_receive_message_length", MAX_MESSAGE),
]
NODE = [
    *_BOTH,
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # of a try that nobody answers
    ("grpc.max_reconnect_backoff_ms", int(MOST_PAUSE_S * 1000)),
]
"""Options of a node's channel."""


def to(address: Address) -> list[tuple[str, str]]:
    """Further options of a channel to an address: the name that the certificate there is to bear."""
    return [("grpc.ssl_target_name_override", address.name)] if address.name else []


READ_AHEAD = 512 << 10
"""Bytes of a stream that the aggregator takes in before it has read them: what a node may have on its way.

A fixed size, since gRPC's own grows to megabytes for each connection, and so does the aggregator with its nodes. It is
2.6 MB/s of an upload over a line of 200 ms.
"""
AGGREGATOR = [
    *_BOTH,
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", READ_AHEAD),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_S * 1000 // 3),
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 32),  # of one connection; a node needs a handful
]
"""Options of the aggregator's server."""
