"""The node's line to the aggregator: with the certificate that its kit holds now, to the one that it has looked at.

`afml.consortium.look` says why it looks first.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import grpc

from afml.consortium.connection import NODE, to
from afml.consortium.inforce import InForce
from afml.consortium.kit import Renewed, TlsIdentity
from afml.consortium.look import SEEN, addresses, pinned, shown_by
from afml.consortium.nodekit import NodeKit
from afml.consortium.route import Address
from afml.consortium.tls import channel_credentials
from afml.core.errors import TransportError
from afml.wire.federation_pb2_grpc import FederationStub


class NotThere(grpc.RpcError):  # type: ignore[misc]
    """Nobody could be looked at, or one whose certificate does not count: as if the aggregator were away."""

    def code(self) -> grpc.StatusCode:
        """As of a call that nobody answers."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """What was wrong."""
        return str(self.args[0])


class Line:
    """One connection, made when it is first needed and again when either certificate has changed.

    Args:
        address: host:port, or name@host:port; several behind commas: one that does not answer is followed by the next.
        kit: This node's; a certificate that is installed into its folder later is used from the next call on.
    """

    def __init__(self, address: str, kit: NodeKit) -> None:
        assert kit.folder is not None, "a node that connects has its kit in a folder"
        self._addresses, self._at, self._kit, self._tls = addresses(address), -1, kit, kit.tls
        self._renewed = Renewed(kit.folder, f"node/{kit.node}")
        self._certificates = InForce(kit.folder, kit.roster, kit.folder / SEEN)
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._channels: list[Any] = []  # earlier ones are left to the calls that are under way on them
        self._stub: Any = None
        self._shown: TlsIdentity | None = None  # by the present connection
        self._pinned, self._doubtful = ("", b""), True

    @property
    def stub(self) -> Any:
        """For a call.

        Raises:
            NotThere: Nobody answers, or its certificate does not count.
        """
        with self._lock:
            if self._doubtful or self.identity is not self._shown or self.gone():
                self._doubtful = True
                try:
                    self._look()
                except OSError as error:
                    raise NotThere(error.strerror or str(error)) from None
                except TransportError as error:
                    raise NotThere(error.problem) from None
            return self._stub

    @property
    def identity(self) -> TlsIdentity:
        """What this node shows of itself from the next call on: one object until another certificate is in its kit."""
        with self._reading:
            self._tls = self._renewed() or self._tls
            return self._tls

    def gone(self) -> str:
        """Why the certificate that was looked at counts no more, by what was installed meanwhile; "" where it does."""
        pem = self._pinned[1]
        try:
            if pem:
                self._certificates.check("aggregator", pem)
        except TransportError as error:
            return error.problem
        return ""

    def doubt(self) -> None:
        """A call was not answered: look again before the next one."""
        self._doubtful = True

    def close(self) -> None:
        """Close it for good."""
        for channel in self._channels:
            channel.close()

    def _look(self) -> None:
        tls = self.identity
        self._certificates.announce(f"node/{self._kit.node}", tls.certificate)
        address, pem = found = self._found(tls)
        if tls is not self._shown or found != self._pinned:
            at = Address.of(address)
            made = grpc.secure_channel(str(at), channel_credentials(pinned(tls, pem)), [*NODE, *to(at)])
            self._channels.append(made)
            self._stub, self._shown = FederationStub(made), tls  # type: ignore[no-untyped-call]
        self._pinned, self._doubtful = found, False

    def _found(self, tls: TlsIdentity) -> tuple[str, bytes]:
        """The next address where the aggregator is, the present one last, and what it shows there."""
        count = len(self._addresses)
        *others, last = [(self._at + step) % count for step in range(1, count + 1)]
        for at in others:
            with contextlib.suppress(OSError, TransportError):
                return self._shown_at(at, tls)
        return self._shown_at(last, tls)

    def _shown_at(self, at: int, tls: TlsIdentity) -> tuple[str, bytes]:
        pem = shown_by(self._addresses[at], tls, self._kit.roster, self._certificates)
        self._at = at
        return self._addresses[at], pem
