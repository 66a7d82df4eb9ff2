"""Sums: made again until there is room for them, and kept until everybody has passed their round."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.scheme import run_params
from aggregator import publishing
from aggregator.publishing import Publisher
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.store.base import Upload
from aggregator.transcript import Transcript
from aggregator.watchers import Watchers
from crypto.public.backend import public_backend
from tests.aggregator.machine import PARAMETERS, Machine, small_run

RECEIPT = '{"index":0,"leaf":"%s","checkpoint":"note"}' % ("0" * 64)


class Disk:
    """Writes sums, and is full when it is told to be."""

    def __init__(self) -> None:
        self.full, self.tries = 0, 0

    def sum(self, scheme: object, uploads: dict[int, Path], chunks: int, out: Path) -> None:
        self.tries += 1
        if self.full:
            self.full -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        out.write_bytes(b"sum")


class Scene:
    """A machine whose sums are made by a publisher."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.machine, self.disk = Machine(folder, small_run(**settings)), Disk()
        scheme = Scheme(public_backend("ckks"), run_params(self.machine.config))
        self.run = ServedRun(
            self.machine.config, self.machine.roster, scheme, self.machine.store, Folder(self.machine.path)
        )
        transcript = Transcript(self.run.folder.transcript, Ed25519PrivateKey.generate())
        summer: Any = self.disk
        self.publisher = Publisher(self.run, self.machine.engine, summer, transcript, Watchers())

    def play(self, *nodes: int) -> None:
        """A round of these nodes."""
        self.machine.ready(*nodes)
        if self.machine.at[0] == "gathering":
            self.machine.wait(11)
        attempt = self.machine.attempt
        for node in self.machine.cohort:
            self.machine.engine.uploaded(attempt, Upload(node, 1, PARAMETERS, 9, RECEIPT))
        asyncio.run(self.publisher._publish(attempt))

    @property
    def sums(self) -> list[str]:
        return sorted(path.name for path in (self.run.folder.root / "sums").iterdir())


def test_a_sum_that_finds_no_room_is_made_again_until_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "RETRY_S", 0.0)
    scene = Scene(tmp_path)
    scene.machine.enrol()
    scene.disk.full = 3
    scene.play()
    assert (scene.disk.tries, scene.machine.at) == (4, ("gathering", 2, 1))
    assert scene.run.folder.transcript.read_bytes().count(b"\n") == 1
    scene.machine.store.close()


def test_sums_go_once_every_node_that_has_not_left_is_past_their_round(tmp_path: Path) -> None:
    scene = Scene(tmp_path, rounds=6)
    scene.machine.enrol()
    scene.play()
    assert scene.sums == ["round-1-1"]
    scene.play()
    assert scene.sums == ["round-2-1"], "whoever was ready for round 2 has applied the sum of round 1"
    scene.machine.away(4)
    scene.play(1, 2, 3)
    scene.play(1, 2, 3)
    assert scene.sums == ["round-2-1", "round-3-1", "round-4-1"], "node 4 may come back for them"
    scene.machine.enrol(4)
    scene.play()
    assert scene.sums == ["round-5-1"]
    scene.machine.away(4)
    scene.machine.leave(4)
    (tmp_path / "sums" / "round-5-1.part0").write_bytes(b"of a sum that was cut off")
    scene.play(1, 2, 3)
    assert scene.sums == ["round-6-1"]
    scene.machine.store.close()


class Slow(Disk):
    """Adds until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()

    def sum(self, scheme: object, uploads: dict[int, Path], chunks: int, out: Path) -> None:
        self.begun.set()
        self.may_end.wait()
        super().sum(scheme, uploads, chunks, out)


def test_whoever_stops_waits_for_the_thread_that_writes_and_publishes_nothing(tmp_path: Path) -> None:
    scene, slow = Scene(tmp_path), Slow()
    scene.machine.enrol()
    scene.machine.ready()
    scene.machine.upload()
    scene.publisher._summer = slow  # type: ignore[assignment]

    async def stopped() -> None:
        scene.publisher.begin(scene.machine.attempt)
        await asyncio.to_thread(slow.begun.wait)
        stopping = asyncio.create_task(scene.publisher.stop())
        while not any(task.cancelling() for task in scene.publisher._tasks):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        still = not stopping.done()
        slow.may_end.set()
        await stopping
        assert still, "its part files were still being written"

    asyncio.run(stopped())
    assert scene.sums == ["round-1-1"]
    assert scene.machine.at == ("summing", 1, 1), "whoever opens the run next makes the sum anew, and publishes it"
    scene.machine.store.close()
