"""What the aggregator has for this institution: which runs, and each as the coordinator signed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from afml.consortium.nodekit import NodeKit
from afml.core.errors import ProtocolError
from afml.wire import federation_pb2 as wire
from node.line import Line
from node.statuses import not_served, translated

MOST = 64
"""Runs that are looked at in one look; an aggregator serves no more at a time."""
MAX_RUN = 256 << 10
"""Bytes of a run.json that is taken: what nobody here has admitted yet lies on this site's disk."""
_ANSWER_S, _DIGEST = 20.0, 32


@dataclass(frozen=True)
class Offer:
    """A run that the aggregator serves now, it says.

    Attributes:
        run: Its name, unverified.
        digest: Of its configuration.
    """

    run: str
    digest: bytes


class Offers:
    """Asks one aggregator, whose certificate is looked at as by a node in a run.

    Args:
        address: host:port, or several behind commas.
        kit: This node's.
    """

    def __init__(self, address: str, kit: NodeKit) -> None:
        self._address, self._node, self._line = address, kit.node, Line(address, kit)

    def served(self) -> list[Offer]:
        """The runs that enrol this node and whose turn has come.

        Raises:
            AfmlError: The aggregator is away, serves one run alone, or refuses this node.
        """
        asked = wire.RunsRef(node=self._node)
        found = self._call(lambda stub: stub.ListRuns(asked, timeout=_ANSWER_S)).runs
        served = [one for one in found if one.turn == wire.TURN_SERVED and len(one.config_digest) == _DIGEST]
        return [Offer(one.run, one.config_digest) for one in served[:MOST]]

    def papers(self, offer: Offer) -> tuple[bytes, bytes]:
        """run.json and run.sig of a run, unverified.

        Raises:
            ProtocolError: The file is longer than any that is read here.
            AfmlError: As `served`.
        """
        asked = wire.RunRef(run=offer.run, config_digest=offer.digest, node=self._node)
        found = self._call(lambda stub: stub.FetchRun(asked, timeout=_ANSWER_S))
        if len(found.config) > MAX_RUN or len(found.signature) > MAX_RUN:
            raise ProtocolError(f"has a run.json above {MAX_RUN} bytes", where="a run on offer")
        return found.config, found.signature

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def _call(self, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self._line.stub)
        except grpc.RpcError as error:
            self._line.doubt()
            if not_served(error):
                cure = "have it started without --run, or take part by `afml node --run`"
                raise ProtocolError("serves one run alone", where=f"aggregator {self._address}", cure=cure) from None
            raise translated(error, self._address) from None
