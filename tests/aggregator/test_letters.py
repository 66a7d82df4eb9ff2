"""Letters from one node to several: the first one stands, each recipient gets its own, nobody fills the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.limits import LETTERS, LETTERS_PER_NODE, MAX_LETTER, MAX_NOTE, MAX_OWN, MAX_SUBJECT, PIECE
from afml.consortium.overlap import ASK, answer_to, size_of
from afml.consortium.overlap import OWN as OWN_POINTS
from afml.consortium.scheme import run_params
from afml.core.errors import IntegrityError, ProtocolError
from afml.wire import federation_pb2 as wire
from aggregator.letters import Letters, recipients
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from crypto.public.backend import public_backend
from crypto.public.signing import sign
from node.deliveries import whole_letters
from tests.aggregator.machine import Machine
from tests.post import letter_for, signed_text

OWN = {2: b"for two", 3: b"", 4: b"for four"}


@pytest.fixture
def letters(machine: Machine) -> Letters:
    return served(machine)


def served(machine: Machine) -> Letters:
    scheme = Scheme(public_backend("ckks"), run_params(machine.config))
    return Letters(ServedRun(machine.config, machine.roster, scheme, machine.store, Folder(machine.path)))


def written(
    machine: Machine, common: bytes, own: dict[int, bytes] = OWN, subject: str = "run-key", **changes: object
) -> wire.LetterHeader:
    config, sender = machine.config, int(str(changes.get("sender", 1)))
    parts = [wire.Own(recipient=one, body=body) for one, body in own.items()]
    settings: dict[str, object] = {
        "run": config.run, "config_digest": config.digest(), "sender": sender, "subject": subject,
        "size": len(common), "own": parts,
    } | changes  # fmt: skip
    header = wire.LetterHeader(**settings)
    header.signature = sign(machine.keys[1], signed_text(header, common))
    return header


def send(letters: Letters, head: wire.LetterHeader, common: bytes) -> None:
    async def pieces() -> AsyncIterator[wire.LetterPart]:
        for start in range(0, len(common), PIECE):
            yield wire.LetterPart(piece=common[start : start + PIECE])

    asyncio.run(letters.receive(head, pieces()))


def read(letters: Letters, node: int, *senders: int, subject: str = "run-key") -> dict[int, tuple[wire.Letter, bytes]]:
    """What a node gets, each with its common part put together."""
    ref = wire.LettersRef(node=node, subject=subject, senders=senders)
    return {letter.sender: (letter, common) for letter, common in whole_letters(letters.deliver(ref, senders))}


def test_a_letter_arrives_in_pieces_as_it_was_sent(machine: Machine, letters: Letters) -> None:
    common = bytes(range(256)) * (PIECE // 100)
    ref = wire.LettersRef(node=2, senders=[1], subject="run-key")
    assert letters.there(ref, [1]) == []
    assert read(letters, 2, 1) == {}
    head = written(machine, common)
    send(letters, head, common)
    assert letters.there(ref, [1, 3]) == [1]
    for node in OWN:
        expected = letter_for(head, common, node)
        assert expected is not None
        expected.common = common[:PIECE]
        assert read(letters, node, 1) == {1: (expected, common)}


def test_whoever_a_letter_is_not_to_is_told_that_and_no_more(machine: Machine, letters: Letters) -> None:
    head = written(machine, b"common", {2: b"own"})
    send(letters, head, b"common")
    assert read(letters, 3, 1) == {1: (wire.Letter(sender=1), b"")}


def test_a_letter_without_a_common_part_is_no_file(machine: Machine, letters: Letters) -> None:
    send(letters, written(machine, b""), b"")
    kept = machine.store.letters.find(1, "run-key")
    assert kept is not None
    assert kept.path is None
    assert recipients(kept) == {2, 3, 4}
    assert not (machine.path / "letters").exists()
    assert read(letters, 4, 1)[1][0].own == b"for four"


def test_the_first_letter_of_a_subject_stands(machine: Machine, letters: Letters) -> None:
    send(letters, written(machine, b"first"), b"first")
    send(letters, written(machine, b"second", {2: b"another"}), b"second")
    assert read(letters, 2, 1)[1][1] == b"first"
    assert len(list((machine.path / "letters").iterdir())) == 1


def test_one_that_comes_twice_at_the_same_time_is_kept_once(machine: Machine, letters: Letters) -> None:
    async def pieces() -> AsyncIterator[wire.LetterPart]:
        yield wire.LetterPart(piece=b"twice")

    async def both() -> None:
        head = written(machine, b"twice")
        await asyncio.gather(letters.receive(head, pieces()), letters.receive(head, pieces()))

    asyncio.run(both())
    assert read(letters, 2, 1)[1][1] == b"twice"
    assert len(list((machine.path / "letters").iterdir())) == 1


def test_letters_are_there_after_a_restart(machine: Machine, letters: Letters) -> None:
    send(letters, written(machine, b"kept"), b"kept")
    before = read(letters, 2, 1)
    machine.restart()
    assert read(served(machine), 2, 1) == before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"own": {2: b"", 9: b""}}, "node 9 gets no letters in run r from node 1"),
        ({"own": {1: b""}}, "node 1 gets no letters in run r from node 1"),
        ({"own": {}}, "to nobody, or to somebody twice"),
        ({"own": {2: bytes(MAX_OWN + 1)}}, f"may hold .* and {MAX_OWN} for each"),
        ({"size": MAX_LETTER + 1}, f"may hold {MAX_LETTER} bytes"),
        ({"subject": "s" * (MAX_SUBJECT + 1)}, "a line of at most"),
        ({"subject": "a\0b"}, "a line of at most"),
        ({"subject": "start-hello", "size": MAX_NOTE + 1}, f"may hold {MAX_NOTE} bytes"),
        ({"size": 3}, "size is not what its header says"),
        ({"size": 5}, "size is not what its header says"),
    ],
)
def test_a_letter_that_is_none_is_refused(
    machine: Machine, letters: Letters, changes: dict[str, object], error: str
) -> None:
    own = changes.pop("own", OWN)
    assert isinstance(own, dict)
    with pytest.raises(ProtocolError, match=error):
        send(letters, written(machine, b"body", own, **changes), b"body")  # type: ignore[arg-type]
    assert not (machine.path / "letters").exists()


def test_nobody_is_named_twice(machine: Machine, letters: Letters) -> None:
    head = written(machine, b"body")
    head.own.append(wire.Own(recipient=2, body=b"another"))
    head.signature = sign(machine.keys[1], signed_text(head, b"body"))
    with pytest.raises(ProtocolError, match="somebody twice"):
        send(letters, head, b"body")


def test_a_letter_must_be_signed_by_its_sender(machine: Machine, letters: Letters) -> None:
    with pytest.raises(IntegrityError):
        send(letters, written(machine, b"body", {2: b""}, sender=3), b"body")
    head = written(machine, b"body")
    with pytest.raises(IntegrityError):
        send(letters, head, b"ydob")
    head.own[0].body = b"changed"
    with pytest.raises(IntegrityError):
        send(letters, head, b"body")


def test_letters_of_a_node_are_counted(machine: Machine, letters: Letters) -> None:
    for number in range(LETTERS + LETTERS_PER_NODE * len(machine.config.nodes)):
        send(letters, written(machine, b"", subject=f"subject-{number}"), b"")
    with pytest.raises(ProtocolError, match="node 1 has sent too many letters"):
        send(letters, written(machine, b"", subject="one more"), b"")
    send(letters, written(machine, b"", subject="subject-0"), b"")  # again, after a lost answer: confirmed


@given(st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=9), st.integers(1, 4)), unique_by=lambda one: one[0]))
def test_letters_are_put_together_however_they_were_cut(sent: list[tuple[int, bytes, int]]) -> None:
    stream = []
    for sender, common, cut in sent:
        pieces = [common[start : start + cut] for start in range(0, len(common), cut)] or [b""]
        first = wire.Letter(sender=sender, count=1, size=len(common), common=pieces[0])
        if stream and not stream[-1].piece and not pieces[1:]:
            stream[-1].letters.append(first)
        else:
            stream.append(wire.Delivery(letters=[first]))
        stream += [wire.Delivery(piece=piece) for piece in pieces[1:]]
    assert [(letter.sender, common) for letter, common in whole_letters(stream)] == [one[:2] for one in sent]


@pytest.mark.parametrize(
    "stream",
    [
        [wire.Delivery(letters=[wire.Letter(sender=1, size=2, common=b"abc")])],
        [wire.Delivery(letters=[wire.Letter(sender=1, size=4, common=b"abc")])],
        [wire.Delivery(letters=[wire.Letter(sender=1, size=4, common=b"abc")]), wire.Delivery(piece=b"de")],
        [wire.Delivery(letters=[wire.Letter(sender=1, size=MAX_LETTER + 9, common=b"abc")])],
    ],
)
def test_letters_of_another_length_than_they_say_are_refused(stream: list[wire.Delivery]) -> None:
    with pytest.raises(ProtocolError, match="letter"):
        list(whole_letters(stream))


def test_nothing_stays_of_a_letter_whose_stream_ended_while_it_was_written(letters: Letters, machine: Machine) -> None:
    """A node that begins another one at that moment, again and again, fills no disk."""
    common = bytes(1 << 20)
    header = written(machine, common)

    async def pieces() -> AsyncIterator[wire.LetterPart]:
        yield wire.LetterPart(piece=common)

    async def given_up() -> None:
        task = asyncio.create_task(letters.receive(header, pieces()))
        while not list((machine.path / "letters").glob("*")) and not task.done():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(5):
        asyncio.run(given_up())
    there = {path.relative_to(machine.path) for path in (machine.path / "letters").glob("*")}
    assert there == set(machine.store.letters.paths())


def test_files_of_letters_that_are_not_on_record_go(letters: Letters, machine: Machine) -> None:
    common = b"common"

    async def pieces() -> AsyncIterator[wire.LetterPart]:
        yield wire.LetterPart(piece=common)

    asyncio.run(letters.receive(written(machine, common), pieces()))
    (machine.path / "letters" / "1-beef").write_bytes(b"the power went")
    letters.clear()
    assert {path.relative_to(machine.path) for path in (machine.path / "letters").glob("*")} == set(
        machine.store.letters.paths()
    )


def test_letters_about_shared_people_are_as_long_as_the_people_make_them(machine: Machine, letters: Letters) -> None:
    """And longer than other notes, in front of any training."""
    size = size_of(machine.config.enrolled[1])
    send(letters, written(machine, bytes(size), subject=OWN_POINTS), bytes(size))
    assert read(letters, 2, 1, subject=OWN_POINTS)[1][1] == bytes(size)
    for wrong in (size - 1, size + 1, 0):
        with pytest.raises(ProtocolError, match="not as long as the run's people make it"):
            send(letters, written(machine, bytes(wrong), subject=ASK), bytes(wrong))
    with pytest.raises(ProtocolError, match="not as long"):
        send(letters, written(machine, b"", subject=answer_to(99)), b"")
