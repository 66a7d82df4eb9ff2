"""Work on a real cluster of two workers: results in order, errors in a line, and a worker that is ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import distributed
import pytest

from afml.core import cluster as clusters
from afml.core.cluster import Cluster, cluster, each, on_cluster
from afml.core.errors import GateError, InputError


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as there:
        yield there.scheduler_address


def squared(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def ended_once(mark: Path, number: int) -> int:
    if number == 5 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refused(number: int) -> int:
    raise GateError(f"no {number}", where="here", cure="go on")


def test_results_come_in_order_from_here_or_from_two_workers(address: str, tmp_path: Path) -> None:
    work = [partial(squared, number) for number in range(40)]
    assert {pid for _, pid in each(work)} == {os.getpid()}
    with on_cluster(address, tmp_path):
        there = cluster()
        assert there is not None
        assert there.workers == 2
        found = list(each(work))
    assert cluster() is None
    assert [square for square, _ in found] == [number * number for number in range(40)]
    assert len({pid for _, pid in found} - {os.getpid()}) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_an_ended_worker_had_to_do_is_done_by_another(address: str, tmp_path: Path) -> None:
    mark = tmp_path / "ended"
    with on_cluster(address, tmp_path):
        assert list(each([partial(ended_once, mark, number) for number in range(12)])) == list(range(12))
    assert mark.exists()


def test_an_error_of_a_worker_is_the_error_here(address: str, tmp_path: Path) -> None:
    with on_cluster(address, tmp_path):
        with pytest.raises(GateError, match="here: no 3; go on"):
            list(each([partial(refused, 3)]))
        with pytest.raises(InputError, match=r"workers could not do a piece of work .ZeroDivisionError."):
            list(each([partial(divmod, 1, 0)]))
        assert list(each([partial(abs, -2)])) == [2]
        with pytest.raises(InputError, match="is no folder to work in"), on_cluster(address, tmp_path / "none"):
            pass


def test_a_scheduler_that_says_several_things_at_once_is_met_again(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def start(self: distributed.Client, **options: object) -> object:
        tries.append(len(tries))
        assert len(tries) % 3 == 0, "what the library says where the first message is not alone"
        return started(self, **options)

    started = distributed.Client.start
    monkeypatch.setattr(distributed.Client, "start", start)
    with on_cluster(address, tmp_path):
        assert list(each([partial(abs, -2)])) == [2]
    assert len(tries) == 3
    monkeypatch.setattr(clusters, "_TRIES", 2)
    with pytest.raises(InputError, match=r"no worker answers .AssertionError."), on_cluster(address, tmp_path):
        pass


def test_a_cluster_that_is_no_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Workers:
        def __init__(self, *found: tuple[bool, str]) -> None:
            self.found = dict(enumerate(found))

        def run(self, *_: object) -> dict[int, tuple[bool, str]]:
            return self.found

    own = clusters.__version__
    with pytest.raises(InputError, match=r"1 of 2 workers do not see .*; start them with the same file system"):
        Cluster(Workers((True, own), (False, own)), "tcp://a").require_shared(tmp_path)
    with pytest.raises(InputError, match=r"--dask tcp://a: workers have AFML 0.0.1, not .*; install the same"):
        Cluster(Workers((True, own), (True, "0.0.1")), "tcp://a").require_shared(tmp_path)
    monkeypatch.setattr(clusters, "_SECONDS", "1s")
    with pytest.raises(InputError, match=r"--dask tcp://127.0.0.1:9: no worker answers"):  # noqa: SIM117
        with on_cluster("tcp://127.0.0.1:9", tmp_path):
            pass
