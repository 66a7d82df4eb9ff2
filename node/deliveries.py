"""Letters out of the pieces that they come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afml.consortium.limits import MAX_LETTER
from afml.core.errors import ProtocolError
from afml.wire import federation_pb2 as wire


def whole_letters(stream: Iterable[wire.Delivery]) -> Iterator[tuple[wire.Letter, bytes]]:
    """Letters out of a stream of deliveries, each with its common part.

    Raises:
        ProtocolError: One is longer or shorter than it says, or than a letter may be.
    """
    begun: tuple[wire.Letter, bytearray] | None = None
    for delivery in stream:
        if delivery.piece and begun is not None:
            begun[1].extend(delivery.piece)
        for letter in delivery.letters:
            if begun is not None:
                yield _whole(*begun)
            begun = letter, bytearray(letter.common)
        if begun is not None and len(begun[1]) > min(begun[0].size, MAX_LETTER):
            raise ProtocolError("a letter is longer than it may be", where=f"letter of node {begun[0].sender}")
    if begun is not None:
        yield _whole(*begun)


def _whole(letter: wire.Letter, common: bytearray) -> tuple[wire.Letter, bytes]:
    if len(common) != letter.size:
        raise ProtocolError("a letter is not as long as it says", where=f"letter of node {letter.sender}")
    return letter, bytes(common)
