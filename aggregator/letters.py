"""Sealed letters from node to node: kept and handed on; the aggregator cannot read them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

from afml.consortium import messages
from afml.consortium.limits import LETTERS_PER_PEER, MAX_LETTER, MAX_SUBJECT, PIECE
from afml.core.errors import ProtocolError
from afml.core.files import write_bytes
from afml.wire import federation_pb2 as wire
from aggregator.run import ServedRun
from aggregator.store.base import Letter
from crypto.public.signing import verify


class Letters:
    """The mail of one run; the first letter of a sender, recipient and subject stands."""

    def __init__(self, run: ServedRun) -> None:
        self._run, self._kept = run, run.store.letters

    async def receive(self, header: wire.LetterHeader, parts: AsyncIterator[wire.LetterPart]) -> None:
        """Take a letter; one that is there already is confirmed unread.

        Raises:
            ProtocolError: To nobody of this run, too long, one of too many, or not of the size it says.
            IntegrityError: It is not signed by its sender.
        """
        if not self._wanted(header):
            return
        body = bytearray()
        async for part in parts:
            body += part.piece
            if len(body) > header.size:
                break
        if len(body) != header.size:
            raise ProtocolError("a letter's size is not what its header says")
        signed = messages.letter(
            header.run, header.config_digest, header.sender, header.recipient, header.subject, bytes(body)
        )
        verify(bytes.fromhex(self._run.roster.member(header.sender).signing_key), signed, header.signature)
        path = self._run.folder.letters / f"{header.recipient}-{secrets.token_hex(8)}"
        write_bytes(path, bytes(body))
        raw = header.SerializeToString(deterministic=True)
        self._kept.add(Letter(header.sender, header.recipient, header.subject, raw, path))

    def arrived(self, ref: wire.LetterRef) -> bool:
        """Whether the letter that a node looks out for is there."""
        return self._kept.find(ref.node, ref.sender, ref.subject) is not None

    def parts(self, ref: wire.LetterRef) -> Iterator[wire.LetterPart]:
        """A letter that is there, piece by piece."""
        letter = self._kept.find(ref.node, ref.sender, ref.subject)
        if letter is None:
            return
        yield wire.LetterPart(header=wire.LetterHeader.FromString(letter.header))
        body = letter.path.read_bytes()
        for start in range(0, len(body), PIECE):
            yield wire.LetterPart(piece=body[start : start + PIECE])

    def _wanted(self, header: wire.LetterHeader) -> bool:
        config = self._run.config
        if header.recipient not in config.enrolled or header.recipient == header.sender:
            raise ProtocolError(f"node {header.recipient} gets no letters in run {header.run}")
        if header.size > MAX_LETTER or len(header.subject) > MAX_SUBJECT:
            raise ProtocolError(f"a letter may hold {MAX_LETTER} bytes, not {header.size}")
        if self._kept.find(header.recipient, header.sender, header.subject):
            return False
        if self._kept.sent_by(header.sender) >= LETTERS_PER_PEER * len(config.nodes):
            raise ProtocolError(f"node {header.sender} has sent too many letters")
        return True
