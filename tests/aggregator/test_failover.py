"""Another machine takes a run over in which the first one died, with a folder of its own and the same database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.scheme import run_params
from afml.ledger import transcript
from aggregator.publishing import Publisher
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.store.base import Upload
from aggregator.transcript import Transcript
from aggregator.watchers import Watchers
from crypto.public.backend import public_backend
from tests.aggregator.machine import PARAMETERS, Machine, small_run
from tests.aggregator.test_publishing import RECEIPT, Disk
from tests.postgres import Server


class Dead(BaseException):
    """The process ends here."""


class Site:
    """A machine that may serve the run, in a folder of its own."""

    def __init__(self, machine: Machine, folder: Path, key: Ed25519PrivateKey) -> None:
        folder.mkdir(exist_ok=True)
        self.machine, self.dies = machine, False
        scheme = Scheme(public_backend("ckks"), run_params(machine.config))
        self.run = ServedRun(machine.config, machine.roster, scheme, machine.store, Folder(folder))
        self.run.folder.claim(machine.store.term)
        self.run.bring(self.run.folder.transcript)
        book = Transcript(self.run.folder.transcript, key, self._keep)
        self.publisher = Publisher(self.run, machine.engine, Disk(), book, Watchers())  # type: ignore[arg-type]

    def _keep(self, path: Path) -> None:
        self.run.keep(path)
        if self.dies:
            raise Dead

    def upload(self) -> None:
        """All of the cohort send their updates."""
        attempt = self.machine.attempt
        self.run.folder.uploads(attempt).mkdir(parents=True)
        for node in self.machine.cohort:
            (self.run.folder.uploads(attempt) / str(node)).write_bytes(b"update")
            self.machine.engine.uploaded(attempt, Upload(node, 1, PARAMETERS, 9, RECEIPT))

    def publish(self) -> None:
        asyncio.run(self.publisher._publish(self.machine.attempt))


def test_a_line_without_its_round_dies_with_its_machine(postgres: Server, tmp_path: Path) -> None:
    key, url = Ed25519PrivateKey.generate(), postgres.database()
    machine = Machine(tmp_path, small_run(), url=url)
    first = Site(machine, tmp_path / "first", key)
    machine.enrol()
    machine.ready()
    first.upload()
    first.dies = True
    with pytest.raises(Dead):
        first.publish()
    assert first.run.folder.transcript.read_bytes().count(b"\n") == 1, "signed, and nobody was told"
    machine.store.close()

    machine.open()
    second = Site(machine, tmp_path / "second", key)
    second.publisher.resume()
    assert machine.at == ("open", 1, 1)
    machine.away(4)  # it went with the first machine's site
    machine.ready(1, 2, 3)
    second.upload()
    second.publish()
    assert machine.at == ("gathering", 2, 1)
    machine.store.close()

    machine.open()
    third = Site(machine, tmp_path / "first", key)
    written = transcript.read(third.run.folder.transcript, key.public_key().public_bytes_raw())
    assert [(one.round, one.attempt, list(one.cohort)) for one in written] == [(1, 2, [1, 2, 3])]
    assert [path.name for path in (tmp_path / "first").glob("transcript-until-*")] == ["transcript-until-3.jsonl"]
    machine.store.close()
