"""Letters from one node to several others: kept whole, handed on to each recipient as far as they are for it.

One signature covers a letter (`afml.consortium.messages.LetterText`), so one letter is one file, one row and one check
here, however many read it. What is sealed in it the aggregator cannot read.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from afml.consortium import messages
from afml.consortium.limits import (
    LETTERS,
    LETTERS_PER_NODE,
    MAX_LETTER,
    MAX_NOTE,
    MAX_OWN,
    MAX_SUBJECT,
    MAX_WORD,
    PIECE,
)
from afml.consortium.makers import PUBLIC_PART, RUN_KEY
from afml.consortium.overlap import about_overlap, letter_size
from afml.core.errors import ProtocolError
from afml.core.files import write_bytes
from afml.ledger import tree
from afml.wire import federation_pb2 as wire
from aggregator.run import ServedRun
from aggregator.store.base import Letter
from aggregator.threads import in_thread
from crypto.public.signing import verify

_AT_HAND = 128
"""Letters whose headers are kept parsed: they are read by many at a time."""


@dataclass(frozen=True)
class _Opened:
    """A letter's header, and what each recipient is to check it by."""

    header: wire.LetterHeader
    path: Path | None
    places: dict[int, int]
    root: bytes
    paths: list[list[bytes]]


class Letters:
    """The mail of one run; the first letter of a sender under a subject stands."""

    def __init__(self, run: ServedRun) -> None:
        self._run, self._kept = run, run.store.letters
        self._opened = lru_cache(maxsize=_AT_HAND)(self._open)

    async def receive(self, header: wire.LetterHeader, parts: AsyncIterator[wire.LetterPart]) -> None:
        """Take a letter; one that is there already is confirmed unread.

        Raises:
            ProtocolError: To somebody who is not of this run, too long, one of too many, or not of the size it says.
            IntegrityError: It is not signed by its sender.
        """
        if not self._wanted(header):
            return
        common = bytearray()
        try:
            async for part in parts:
                common += part.piece
                if len(common) > header.size:
                    break
        except BaseException:
            common.clear()  # at once: whoever keeps the error keeps what is named here
            raise
        if len(common) != header.size:
            raise ProtocolError("a letter's size is not what its header says")
        leaves = _leaves(header)
        text = messages.LetterText(hashlib.sha256(common).digest(), tree.root_of(leaves), len(leaves))
        signed = messages.letter(header.run, header.config_digest, header.sender, header.subject, text)
        verify(bytes.fromhex(self._run.roster.member(header.sender).signing_key), signed, header.signature)
        await self._keep(header, bytes(common))

    async def _keep(self, header: wire.LetterHeader, common: bytes) -> None:
        """On disk, then on record: nothing stays of a letter that did not come so far."""
        path = self._run.folder.letters / f"{header.sender}-{secrets.token_hex(8)}" if common else None
        stays = False
        try:
            if path is not None:
                await in_thread(write_bytes, path, common)  # syncs: others go on meanwhile
                await self._run.keep_whole(path)
            if self._kept.find(header.sender, header.subject):
                return  # it came twice at the same time
            name = path and path.relative_to(self._run.folder.root)
            self._kept.add(Letter(header.sender, header.subject, header.SerializeToString(deterministic=True), name))
            stays = True
        finally:
            if path is not None and not stays:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what is on disk of letters that are not on record: the process ended between the two."""
        kept = {self._run.folder.root / path for path in self._kept.paths()}
        for path in set(self._run.folder.letters.glob("*")) - kept:
            path.unlink(missing_ok=True)

    async def clear_long(self) -> None:
        """Remove the files of keys, public parts and points, which nobody asks for once a run is over.

        Who wrote to whom stays on record, and so do short letters, by which nodes compare models and vouch for ledgers.

        Raises:
            Lost: Another process has taken the run on.
        """
        long = {path for path, subject in self._kept.paths().items() if is_long(subject)}
        if await self._run.clear({path.as_posix() for path in long}.__contains__):
            for path in long:
                self._kept.bare(path)
            self._opened.cache_clear()

    def there(self, ref: wire.LettersRef, senders: Collection[int]) -> list[int]:
        """Those of some senders whose letter is there, ascending."""
        return sorted(self._kept.senders(ref.subject).intersection(senders))

    async def bring(self, ref: wire.LettersRef, senders: Collection[int]) -> None:
        """Have what `deliver` reads on this machine's disk."""
        for sender in self.there(ref, senders):
            letter = self._opened(sender, ref.subject)
            if letter.path is not None and ref.node in letter.places:
                await self._run.bring_whole(self._run.folder.root / letter.path)

    def deliver(self, ref: wire.LettersRef, senders: Collection[int]) -> Iterator[wire.Delivery]:
        """What is in these senders' letters for the one who asks, or that nothing is; many short ones in a message."""
        message, size = wire.Delivery(), 0
        for sender in self.there(ref, senders):
            letter = self._opened(sender, ref.subject)
            pieces = self._pieces(letter.path if ref.node in letter.places else None)
            one = _for_one(letter, ref.node, next(pieces, b""))
            if message.letters and size + one.ByteSize() > PIECE:
                yield message
                message, size = wire.Delivery(), 0
            message.letters.append(one)
            size += one.ByteSize()
            for piece in pieces:
                if message.letters:
                    yield message
                    message, size = wire.Delivery(), 0
                yield wire.Delivery(piece=piece)
        if message.letters:
            yield message

    def _pieces(self, name: Path | None) -> Iterator[bytes]:
        if name is not None:
            with (self._run.folder.root / name).open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece

    def _open(self, sender: int, subject: str) -> _Opened:
        letter = self._kept.find(sender, subject)
        assert letter is not None, "whoever opens one has seen that it is there"
        header = wire.LetterHeader.FromString(letter.header)
        leaves, places = _leaves(header), {own.recipient: index for index, own in enumerate(header.own)}
        if header.size and letter.path is None:
            places = {}  # its file is gone: it holds nothing for anybody
        return _Opened(header, letter.path, places, tree.root_of(leaves), tree.inclusion_proofs(leaves))

    def _wanted(self, header: wire.LetterHeader) -> bool:
        require_subject(header.subject)
        config, named = self._run.config, [own.recipient for own in header.own]
        if wrong := sorted(node for node in named if node not in config.enrolled or node == header.sender):
            raise ProtocolError(f"node {wrong[0]} gets no letters in run {header.run} from node {header.sender}")
        if not named or len(named) != len(set(named)):
            raise ProtocolError("a letter is to nobody, or to somebody twice")
        longest = max(len(own.body) for own in header.own)
        most = MAX_LETTER if is_long(header.subject) else MAX_NOTE
        if header.size > most or longest > MAX_OWN:
            limits = f"{most} bytes for all and {MAX_OWN} for each"
            raise ProtocolError(f"a letter under this subject may hold {limits}, not {header.size} and {longest}")
        if about_overlap(header.subject) and header.size != letter_size(config, header.sender, header.subject):
            raise ProtocolError("a letter about shared people is not as long as the run's people make it")
        if header.ByteSize() > MAX_WORD + len(named) * (MAX_OWN + 16):
            raise ProtocolError("a letter's header is longer than what it says")
        if self._kept.find(header.sender, header.subject):
            return False
        if self._kept.sent_by(header.sender) >= LETTERS + LETTERS_PER_NODE * len(config.nodes):
            raise ProtocolError(f"node {header.sender} has sent too many letters")
        return True


def is_long(subject: str) -> bool:
    """Whether letters under a subject may hold more than a note."""
    return subject in (RUN_KEY, PUBLIC_PART) or about_overlap(subject)


def require_subject(subject: str) -> None:
    """Refuse a subject that is no line of text.

    Raises:
        ProtocolError: It is not.
    """
    if not subject.isprintable() or len(subject) > MAX_SUBJECT:
        raise ProtocolError(f"the subject of a letter is a line of at most {MAX_SUBJECT} characters")


def recipients(letter: Letter) -> set[int]:
    """Nodes that a letter is to."""
    return {own.recipient for own in wire.LetterHeader.FromString(letter.header).own}


def _leaves(header: wire.LetterHeader) -> list[bytes]:
    return [tree.leaf_hash(messages.own_part(own.recipient, own.body)) for own in header.own]


def _for_one(opened: _Opened, node: int, common: bytes) -> wire.Letter:
    header, index = opened.header, opened.places.get(node)
    if index is None:
        return wire.Letter(sender=header.sender)
    return wire.Letter(
        sender=header.sender,
        signature=header.signature,
        own=header.own[index].body,
        index=index,
        count=len(header.own),
        root=opened.root,
        path=opened.paths[index],
        size=header.size,
        common=common,
    )
