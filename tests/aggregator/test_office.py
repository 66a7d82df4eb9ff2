"""Many runs in one process: what becomes of one run's trouble, and of whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from afml.consortium import installing
from afml.consortium.kit import load_aggregator_kit, load_roster, party_uri
from afml.consortium.provision import load_coordinator_key
from afml.consortium.runfile import write_run
from afml.core.errors import ProtocolError
from afml.wire import federation_pb2 as wire
from aggregator.desk import Desk
from aggregator.front import Front
from aggregator.office import NotYet, Office, Place
from aggregator.store.queue import Papers, SqliteQueue, Submitted
from tests.consortium.place import Place as Members
from tests.federation.parties import Consortium
from tests.postgres import Server

NODE_1 = [party_uri("test", "node/1")]


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("office"), nodes=3, people=40)
    yield made
    made.stop()


def papers(consortium: Consortium, name: str) -> Papers:
    path = consortium.run_file(name)
    return Papers(path.read_bytes(), path.with_suffix(".sig").read_bytes())


class NoSums:
    """No node sends anything here."""


async def soon(there: Callable[[], Any]) -> None:
    async with asyncio.timeout(120):
        while not there():
            await asyncio.sleep(0.01)


class Ended(Exception):
    """A call was ended, with this status and these words."""


class Called:
    """A call, as far as refusing it needs one."""

    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        return {"x509_subject_alternative_name": tuple(name.encode() for name in NODE_1)}

    async def abort(self, status: grpc.StatusCode, told: str) -> None:
        raise Ended(status, told)


class Asking(Called):
    """A call under the certificate of a party."""

    def __init__(self, party: str) -> None:
        self.party = party

    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        return {"x509_subject_alternative_name": (party_uri("test", self.party).encode(),)}


class Watched(Office):
    """Counts how often a run was opened, well or badly."""

    tries = 0

    def _open(self, one: Submitted) -> Any:
        self.tries += 1
        return super()._open(one)


@contextlib.asynccontextmanager
async def office(
    consortium: Consortium, data: Path, store: str = "", kit: Path | None = None
) -> AsyncIterator[Watched]:
    """At work, with a queue of its own in `data`."""
    data.mkdir(exist_ok=True)
    own = load_aggregator_kit(kit or consortium.kit("aggregator"))
    with contextlib.closing(SqliteQueue(str(data / "queue.sqlite"))) as queue:
        made = Watched(own, Place(data, store, "here:1", 1), queue, NoSums())  # type: ignore[arg-type]
        task = asyncio.create_task(made.work())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def desk(of: Office) -> Desk | None:
    return of._opened[1].desk if 1 in of._opened else None


def cut(postgres: Server, url: str) -> None:
    """End the sessions of all aggregators."""
    postgres.ask(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'afml aggregator' AND datname = current_database()",
    )


def test_whoever_follows_a_run_is_let_go_when_its_session_is_lost(
    consortium: Consortium, postgres: Server, tmp_path: Path
) -> None:
    consortium.configure("lost", game=False)
    url = postgres.database()

    async def scene() -> None:
        async with office(consortium, tmp_path, url) as made:
            made.submit(papers(consortium, "lost"))
            await soon(lambda: desk(made))
            first = desk(made)
            assert first is not None
            watchers = first.service._watchers
            following = asyncio.create_task(watchers.until(lambda: watchers.closing))  # as WatchRun does
            cut(postgres, url)
            await soon(lambda: desk(made) not in (None, first))
            await asyncio.sleep(0)
            assert following.done(), "a node would wait at a desk that hears of nothing any more"

    asyncio.run(scene())


def test_a_database_that_lets_nobody_in_puts_no_run_aside(
    consortium: Consortium, postgres: Server, tmp_path: Path
) -> None:
    config, url, aside = consortium.configure("refused", game=False), postgres.database(), postgres.database()
    name = url.split("/")[3].split("?")[0]

    async def scene() -> None:
        postgres.ask(aside, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        async with office(consortium, tmp_path, url) as made:
            made.submit(papers(consortium, "refused"))
            await soon(lambda: made.tries)
            assert made.submit(papers(consortium, "refused")).turn == wire.TURN_SERVED
            with pytest.raises(NotYet, match="run refused is being opened"):
                made.service(config.run, config.digest(), NODE_1)
            postgres.ask(aside, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await soon(lambda: desk(made))
            made._queue.end(1)  # and now of one that is over
            task = made._tasks.pop(1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await made._close(1)
            postgres.ask(aside, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            with pytest.raises(Ended) as told:
                await Front(made).find(wire.RunRef(run=config.run, config_digest=config.digest()), Called())
            assert told.value.args == (grpc.StatusCode.UNAVAILABLE, "the aggregator's database lets nobody in")

    asyncio.run(scene())


def test_a_run_that_was_put_aside_is_told_from_one_that_waits(consortium: Consortium, tmp_path: Path) -> None:
    first, second = (consortium.configure(name, game=False) for name in ("altered", "behind"))
    altered = tmp_path / "runs" / "altered" / "transcript.jsonl"
    altered.parent.mkdir(parents=True)
    altered.write_text("what nobody signed\n")

    async def scene() -> None:
        async with office(consortium, tmp_path) as made:
            made.submit(papers(consortium, "altered"))
            await soon(lambda: made._put_aside and not made._tasks)
            with pytest.raises(ProtocolError, match="run altered: was put aside; whoever operates the aggregator"):
                made.submit(papers(consortium, "altered"))
            with pytest.raises(ProtocolError, match="the certificate is of no node of run altered"):
                made.service("altered", first.digest(), [party_uri("test", "node/9")])
            with pytest.raises(NotYet, match="run altered was put aside"):
                made.service("altered", first.digest(), NODE_1)
            assert made.submit(papers(consortium, "behind")).turn == wire.TURN_SERVED
            await soon(lambda: 2 in made._opened)
            assert [one.run for one, _ in made.offered(1)] == ["behind"]
            assert made._turn(second.digest()).turn == wire.TURN_SERVED

    asyncio.run(scene())


def test_papers_that_another_run_of_the_name_left_are_not_taken_for_its_own(
    consortium: Consortium, postgres: Server, tmp_path: Path
) -> None:
    async def served(url: str) -> bytes:
        """The digest of what is served; the queue is of a database that was made anew."""
        (tmp_path / "queue.sqlite").unlink(missing_ok=True)
        async with office(consortium, tmp_path, url) as made:
            made.submit(papers(consortium, "stale"))
            await soon(lambda: made._opened or made._put_aside)
            found = desk(made)
            assert found is not None
            return found._run.config.digest()

    for attempts in (2, 5):
        config = consortium.configure("stale", game=False, reserve_attempts=attempts)
        assert asyncio.run(served(postgres.database())) == config.digest()


def test_a_run_of_which_no_digest_can_be_taken_is_refused(consortium: Consortium, tmp_path: Path) -> None:
    """JSON may hold half of a pair of code units; UTF-8, which is signed, may not."""
    consortium.configure("odd", game=False)
    good = papers(consortium, "odd")
    odd = Papers(good.config.replace(b'"consortium":"test"', b'"consortium":"\\ud800"'), good.signature)
    assert odd != good

    async def scene() -> None:
        async with office(consortium, tmp_path) as made:
            with pytest.raises(ProtocolError, match="the run that was submitted: holds half of a character"):
                made.submit(odd)
            assert made.submit(good).before == 0

    asyncio.run(scene())


def test_a_version_that_is_installed_meanwhile_serves_the_runs_that_name_it(
    consortium: Consortium, tmp_path: Path
) -> None:
    """Nothing is started again: who joins has its runs, who leaves has those it is in, and strangers have none."""
    place = Members(Path(shutil.copytree(consortium.root / "kits", tmp_path / "kits").parent))
    before = consortium.configure("earlier", game=False)
    offered = place.propose(requests=[place.ask("Late")], leaving=[3])
    answers = place.publish(offered, [1, 2])
    roster = load_roster(place.kit("coordinator"))
    members = {1: 40, 2: 40, 4: 40}
    after = before.model_copy(update={"run": "second", "roster": roster.digest().hex(), "enrolled": members})
    write_run(tmp_path / "second.json", after, load_coordinator_key(place.kit("coordinator")))
    later = Papers((tmp_path / "second.json").read_bytes(), (tmp_path / "second.sig").read_bytes())

    async def offers(front: Front, node: int, party: str = "") -> list[str]:
        told = await front.ListRuns(wire.RunsRef(node=node), Asking(party or f"node/{node}"))
        return [one.run for one in told.runs]

    async def scene() -> None:
        async with office(consortium, tmp_path / "data", kit=place.kit("aggregator")) as made:
            front = Front(made)
            made.submit(papers(consortium, "earlier"))
            with pytest.raises(ProtocolError, match="which this kit does not have"):
                made.submit(later)
            with pytest.raises(Ended, match=r"node 4 is on no roster that the aggregator has; .*`afml keys install`"):
                await offers(front, 4)
            installing.install(answers / "aggregator", place.kit("aggregator"))
            assert made.submit(later).before == 0
            assert await offers(front, 1) == ["earlier", "second"]
            assert (await offers(front, 3), await offers(front, 4)) == (["earlier"], ["second"])
            with pytest.raises(Ended, match="is on no roster"):
                await offers(front, 9)
            with pytest.raises(Ended, match="the certificate belongs to node 4, the message claims node 1"):
                await offers(front, 1, "node/4")
            known = made.kit()
            (place.kit("aggregator") / "roster.json").write_text("{}")
            assert made.kit() is known, "what is spoiled changes nothing"

    asyncio.run(scene())
