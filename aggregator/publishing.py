"""From the last upload of an attempt to its published sum."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from afml.consortium.attempt import Attempt
from afml.consortium.refusal import Refusal
from afml.consortium.stage import Stage
from afml.core.logging import get_logger
from afml.core.recordfile import digest_of_records
from aggregator.engine import Engine
from aggregator.run import ServedRun
from aggregator.store.base import Lost, Published
from aggregator.summing import BadCiphertext, Summer
from aggregator.threads import in_thread
from aggregator.transcript import Transcript
from aggregator.watchers import Watchers

RETRY_S = 5.0
"""Seconds until a sum that found no space is tried again."""


class Publisher:
    """Sums in the background, writes the transcript, publishes."""

    def __init__(
        self, run: ServedRun, engine: Engine, summer: Summer, transcript: Transcript, watchers: Watchers
    ) -> None:
        self._run, self._engine, self._watchers = run, engine, watchers
        self._summer, self._transcript = summer, transcript
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = get_logger().bind(run=run.config.run)

    def resume(self) -> None:
        """After a start: a sum that was cut off is made again from its uploads, those that are lost are sent again."""
        self.clear_uploads()
        at = self._run.store.position()
        folder = self._run.folder.uploads(at.attempt)
        lost = [node for node in self._run.store.attempts.uploads(at.attempt) if not (folder / str(node)).exists()]
        if lost and at.stage in (Stage.OPEN, Stage.SUMMING):
            self._engine.uploads_lost(at.attempt, lost)
            self._log.warning("updates lost", problem=f"of nodes {lost}")
            at = self._run.store.position()
        if at.stage is Stage.SUMMING:
            self.begin(at.attempt)

    def begin(self, attempt: Attempt) -> None:
        """All uploads of the cohort are there: sum them, without waiting for it."""
        self._tasks.add(asyncio.create_task(self._publish(attempt)))

    def closed_enrolment(self, nodes: Sequence[int]) -> bytes:
        """The aggregator's signature under who is in the run for good, `nodes` ascending."""
        return self._transcript.closed_enrolment(self._run.config, nodes)

    def refused(self, refusal: Refusal) -> None:
        """Write down what a node says of a sum.

        Raises:
            IntegrityError: The transcript was changed meanwhile.
        """
        self._transcript.add_refusal(refusal)

    def raise_failures(self) -> None:
        """Look after the sums that have ended.

        Raises:
            Exception: Whatever ended one; a restart resumes it.
        """
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    async def stop(self) -> None:
        """End what is being done, and return once nothing writes into the folder any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _publish(self, attempt: Attempt) -> None:
        while self._wanted(attempt):
            try:
                await self._sum(attempt)
            except Lost:
                raise
            except OSError as error:  # no space: the uploads stay, and the sum is made anew
                self._log.error("cannot be kept", round=attempt.round, problem=error.strerror or str(error))
                await asyncio.sleep(RETRY_S)
        self.clear_uploads()
        await self._clear_passed(attempt)
        await self._watchers.notify()

    async def _sum(self, attempt: Attempt) -> None:
        uploads = self._run.store.attempts.uploads(attempt)
        one = next(iter(uploads.values()))
        paths = {node: self._run.folder.uploads(attempt) / str(node) for node in uploads}
        out = self._run.folder.sum(attempt)
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            await in_thread(self._summer.sum, self._run.scheme, paths, one.chunks, out)
        except BadCiphertext as error:
            if self._wanted(attempt):
                self._engine.sum_failed(error.node, error.detail)
            return
        if self._wanted(attempt):  # the run may have failed meanwhile
            await self._run.keep_whole(out)
        if self._wanted(attempt):
            receipts = {node: json.loads(upload.receipt) for node, upload in uploads.items()}
            digest = digest_of_records(out) if self._run.config.verified_sums else b""
            # One decision with the row: a copy of a line whose attempt another machine gives up would end the run.
            self._engine.summed(
                Published(attempt, one.chunks, one.parameters),
                lambda: self._transcript.add(self._run.config, attempt, receipts, digest),
            )

    def _wanted(self, attempt: Attempt) -> bool:
        return self._run.store.position().is_at(Stage.SUMMING, attempt)

    def clear_uploads(self) -> None:
        """Remove what no sum needs any more: updates of attempts that are summed or given up."""
        at = self._run.store.position()
        self._run.folder.clear_uploads(keep=at.attempt if at.stage in (Stage.OPEN, Stage.SUMMING) else None)

    async def _clear_passed(self, attempt: Attempt) -> None:
        """Whoever was ready for a round has applied all sums before it: once everybody was, nobody asks for them."""
        members = self._run.store.members.all()
        if {node for node, member in members.items() if member.left is None} <= set(
            self._run.store.attempts.tokens(attempt)
        ):
            await self._run.clear_sums(before=attempt.round)
