"""What an aggregator of many runs remembers of them, in every store that it can be kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.store import QUEUES, open_queue
from aggregator.store.queue import Papers, Submitted
from tests.postgres import Server

FIRST, SECOND = bytes(32), bytes(range(32))


@pytest.fixture(params=QUEUES.names())
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        return server.database()
    return f"{request.param}:{tmp_path}/queue"


def test_runs_stand_in_the_order_of_their_submission_also_after_a_restart(url: str) -> None:
    queue = open_queue(url)
    assert queue.all() == []
    queue.add("second to none", SECOND, Papers(b"{}", b"signed"))
    queue.add("another", FIRST, Papers(b"[]", b"signed, too"))
    queue.end(1)
    queue.close()
    again = open_queue(url)
    assert again.all() == [Submitted(1, "second to none", SECOND, True), Submitted(2, "another", FIRST, False)]
    assert again.papers(2) == Papers(b"[]", b"signed, too")
    again.close()


@pytest.mark.parametrize(("run", "digest"), [("a", SECOND), ("b", FIRST)])
def test_a_name_and_a_configuration_are_taken_once(url: str, run: str, digest: bytes) -> None:
    queue = open_queue(url)
    queue.add("a", FIRST, Papers(b"{}", b""))
    with pytest.raises(Exception):  # noqa: B017  # whatever a store says to a second one
        queue.add(run, digest, Papers(b"{}", b""))
    assert len(queue.all()) == 1
    queue.close()
