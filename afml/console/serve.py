"""Serving the console: an address of this machine, the link that signs somebody in, and nothing in any log."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from afml.console.access import Access, Links, TokenFile
from afml.console.app import Console
from afml.console.fence import SIGN_IN, Names
from afml.console.view import View
from afml.core.errors import InputError, TransportError
from afml.core.metrics import is_loopback

_PATIENCE_S = 5


@dataclass(frozen=True)
class Door:
    """How the console is reached.

    Attributes:
        listen: host:port; port 0 for any that is free.
        names: Of a proxy with TLS before it, as browsers have them.
        token_file: Holds the token; None where links are told.
    """

    listen: str
    names: tuple[str, ...] = ()
    token_file: Path | None = None


def serve(view: View, door: Door, tell: Callable[[str], None]) -> None:
    """Serve until somebody stops it.

    Args:
        view: What is shown.
        door: Where.
        tell: Is given lines for the operator's terminal; links that sign in are among them.

    Raises:
        InputError: There is nothing to look at; the address can be reached from other machines and nobody said by
            which name; the token file is not what it must be.
        TransportError: The port is taken.
    """
    view.status()
    listening = _listening(door)
    with listening:
        host, port = listening.getsockname()[:2]
        origin = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if door.token_file is None:
            access = Access(links := Links(lambda token: tell(f"sign in once: {origin}{SIGN_IN}?token={token}")))
        else:
            access = Access(TokenFile(door.token_file))
        tell(f"console at {origin}")
        if door.token_file is None:
            links.begin()
        else:
            tell(f"sign in with what {door.token_file} holds")
        config = uvicorn.Config(
            Console(view, access, Names(port, door.names)).app(), log_config=None, access_log=False,
            server_header=False, proxy_headers=False, lifespan="off", ws="none", http="h11",
            timeout_graceful_shutdown=_PATIENCE_S, h11_max_incomplete_event_size=32 << 10,
        )  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _listening(door: Door) -> socket.socket:
    host, _, port = door.listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InputError("is not host:port", where=f"--listen {door.listen}", cure="for example 127.0.0.1:8765")
    if not is_loopback(host) and not door.names:
        cure = "listen on 127.0.0.1, or say by which name a proxy with TLS is reached (--host)"
        raise InputError("could be reached from other machines", where=f"--listen {door.listen}", cure=cure)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        cure = "stop the process that uses this port or choose another with --listen"
        raise TransportError(f"cannot listen ({error.strerror})", where=door.listen, cure=cure) from None
