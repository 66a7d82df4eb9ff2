"""Letters between nodes: the first one stands, and nobody fills the aggregator's disk with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from afml.consortium import messages
from afml.consortium.limits import LETTERS_PER_PEER, MAX_LETTER, MAX_SUBJECT, PIECE
from afml.consortium.scheme import run_params
from afml.core.errors import IntegrityError, ProtocolError
from afml.wire import federation_pb2 as wire
from aggregator.letters import Letters
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from crypto.public.backend import public_backend
from crypto.public.signing import sign
from tests.aggregator.machine import Machine


@pytest.fixture
def letters(machine: Machine) -> Letters:
    scheme = Scheme(public_backend("ckks"), run_params(machine.config))
    return Letters(ServedRun(machine.config, machine.roster, scheme, machine.store, Folder(machine.path)))


def header(machine: Machine, body: bytes, subject: str = "run-key", **changes: object) -> wire.LetterHeader:
    config = machine.config
    signed = messages.letter(config.run, config.digest(), 1, 2, subject, body)
    settings: dict[str, object] = {
        "run": config.run, "config_digest": config.digest(), "sender": 1, "recipient": 2, "subject": subject,
        "signature": sign(machine.keys[1], signed), "size": len(body),
    } | changes  # fmt: skip
    return wire.LetterHeader(**settings)


def send(letters: Letters, head: wire.LetterHeader, body: bytes) -> None:
    async def pieces() -> AsyncIterator[wire.LetterPart]:
        for start in range(0, len(body), PIECE):
            yield wire.LetterPart(piece=body[start : start + PIECE])

    asyncio.run(letters.receive(head, pieces()))


REF = wire.LetterRef(node=2, sender=1, subject="run-key")


def test_a_letter_arrives_in_pieces_as_it_was_sent(machine: Machine, letters: Letters) -> None:
    body = bytes(range(256)) * (PIECE // 128)
    assert not letters.arrived(REF)
    assert list(letters.parts(REF)) == []
    send(letters, header(machine, body), body)
    assert letters.arrived(REF)
    first, *rest = letters.parts(REF)
    assert first.header == header(machine, body)
    assert b"".join(part.piece for part in rest) == body
    assert len(rest) == 2


def test_the_first_letter_of_a_subject_stands(machine: Machine, letters: Letters) -> None:
    send(letters, header(machine, b"first"), b"first")
    send(letters, header(machine, b"second"), b"second")
    assert [part.piece for part in letters.parts(REF)][1:] == [b"first"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"recipient": 9}, "node 9 gets no letters in run r"),
        ({"recipient": 1}, "node 1 gets no letters in run r"),
        ({"size": MAX_LETTER + 1}, f"may hold {MAX_LETTER} bytes"),
        ({"subject": "s" * (MAX_SUBJECT + 1)}, "a letter may hold"),
        ({"size": 3}, "size is not what its header says"),
        ({"size": 5}, "size is not what its header says"),
    ],
)
def test_a_letter_that_is_none_is_refused(
    machine: Machine, letters: Letters, changes: dict[str, object], error: str
) -> None:
    with pytest.raises(ProtocolError, match=error):
        send(letters, header(machine, b"body", **changes), b"body")
    assert not (machine.path / "letters").exists()


def test_a_letter_must_be_signed_by_its_sender(machine: Machine, letters: Letters) -> None:
    with pytest.raises(IntegrityError):
        send(letters, header(machine, b"body", sender=3), b"body")
    with pytest.raises(IntegrityError):
        send(letters, header(machine, b"body"), b"ydob")


def test_letters_of_a_node_are_counted(machine: Machine, letters: Letters) -> None:
    for number in range(LETTERS_PER_PEER * len(machine.config.nodes)):
        send(letters, header(machine, b"body", f"subject-{number}"), b"body")
    with pytest.raises(ProtocolError, match="node 1 has sent too many letters"):
        send(letters, header(machine, b"body", "one more"), b"body")
    send(letters, header(machine, b"body", "subject-0"), b"body")  # again, after a lost answer: confirmed
