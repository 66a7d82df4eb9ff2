"""One run at work in this process: its decisions, its calls, its sums and its clock, over one opened store."""

from __future__ import annotations

import asyncio
import resource
import statistics
import time

from afml.consortium.kit import AggregatorKit
from afml.consortium.stage import Stage
from afml.core.config import canonical_json
from afml.core.files import write_bytes
from afml.core.logging import get_logger
from aggregator.engine import Engine
from aggregator.orders import Orders
from aggregator.pruning import prune
from aggregator.publishing import Publisher
from aggregator.run import ServedRun
from aggregator.service import Service
from aggregator.standing import Lookout, Serving
from aggregator.store.base import Position
from aggregator.summing import Summer
from aggregator.timekeeping import keep_time
from aggregator.transcript import Transcript
from aggregator.waiting import awaited
from aggregator.watchers import Watchers

_READ_S = 0.5
"""Seconds in which watchers read the last state of a run."""


class Desk:
    """Serves one run, from where its store stands.

    Attributes:
        service: Its calls.
        engine: Its state machine.
    """

    def __init__(self, run: ServedRun, kit: AggregatorKit, summer: Summer, address: str) -> None:
        """Open what the run needs.

        Args:
            run: What is served.
            kit: The aggregator's keys.
            summer: Adds updates.
            address: host:port of this process.

        Raises:
            ConfigError: The folder holds the run of another store.
            IntegrityError: The transcript was altered.
        """
        run.folder.claim(run.store.term)
        run.bring(run.folder.transcript)
        self._run, self._watchers = run, Watchers()
        self.engine = Engine(run.store, run.config, run.roster, time.monotonic)
        transcript = Transcript(run.folder.transcript, kit.signing_key, run.keep)
        self._publisher = Publisher(run, self.engine, summer, transcript, self._watchers)
        self.service = Service(run, self.engine, self._publisher, self._watchers)
        self._orders = Orders(run, self.engine, transcript)
        self._started = time.monotonic()
        serving = Serving(address, kit.tls.expires.timestamp(), time.time(), kit.folder)
        self._lookout = Lookout(run, self.engine, serving, self.service.leases)

    async def to_its_end(self) -> None:
        """Until the run is settled and, where it failed, everybody who is there has heard of it.

        Raises:
            Lost: The store is another process's by now.
            Exception: Whatever ended a sum, a full disk for one: whoever opens the run again resumes it.
        """
        async with self._lookout.looking():
            await keep_time(self._run, self.engine, self._publisher, self._watchers, self._orders)
            if self._run.store.position().stage is Stage.FAILED:
                await self.service.last_words()
            elif without := awaited(self._run.store, self._run.config):
                told = f"nodes {without} have not fetched the model; start the aggregator again for them"
                get_logger().warning("finished", run=self._run.config.run, problem=told)

    async def leave(self) -> Position:
        """Let watchers read the last state, end their streams, write the summary, remove what nobody needs any more.

        Returns:
            Where the run stands.

        Raises:
            Lost: The store is another process's by now.
        """
        at = self._run.store.position()
        if at.stage.over:
            await asyncio.sleep(_READ_S)
        await self._watchers.close()
        self.summarise()
        await prune(self._run, self.service.letters)
        return at

    async def drop(self) -> None:
        """End all streams: nodes that still need this run look for it again."""
        await self._watchers.close()

    async def stop(self) -> None:
        """End what is being added, until nothing writes into the folder: whoever opens the run next adds anew."""
        await self._publisher.stop()

    def summarise(self) -> None:
        """Write sizes and times of the run into its folder."""
        used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        summary = {
            "run": self._run.config.run,
            "rounds": self._run.store.rounds.last_published(),
            "aggregator_rss_mb": round(sum(used) / 1024, 1),
            "seconds_per_round": round(statistics.median(self.engine.round_seconds or [0.0]), 3),
            "seconds": round(time.monotonic() - self._started, 2),
            "uploads": [
                {"round": attempt.round, "bytes": upload.bytes, "parameters": upload.parameters}
                for attempt, upload in self._run.store.attempts.all_uploads()
            ],
        }
        write_bytes(self._run.folder.summary, canonical_json(summary))
