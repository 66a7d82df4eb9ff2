"""What gRPC is told before it is loaded: TLS 1.3 and nothing older for every connection, and to keep out of forks.

gRPC's Python interface can name no least version. It reads the cipher suites of TLS 1.2 from the environment, once,
when it is loaded; those of TLS 1.3 are fixed. The one suite named here needs a certificate with an RSA key, and those
of a consortium hold ECDSA keys: no TLS 1.2 handshake with one of them can succeed, on either side
(tests/federation/test_tls.py shows both).

Its handlers around a fork are off: they run in every child that is started while something is connected, before the
child becomes another program, and now and then abort it. No child of ours goes on with its parent's connections.
"""

from __future__ import annotations

import os
import sys

from afml.core.errors import TransportError

_VARIABLE, _SUITE = "GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384"
_too_late = "grpc" in sys.modules and os.environ.get(_VARIABLE) != _SUITE
os.environ[_VARIABLE] = _SUITE
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


def require_in_force() -> None:
    """Make no connection where gRPC was loaded before this module was.

    Raises:
        TransportError: It was, and may have read other suites.
    """
    if _too_late:
        raise TransportError("gRPC was loaded before AFML: it may accept TLS 1.2", cure="import afml before grpc")
