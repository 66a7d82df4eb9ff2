"""Making the runs of a study: in worker processes, one JSON file each; what is there already is not made again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from afml.core.children import die_with_parent
from afml.core.errors import AfmlError
from afml.study.data import DataSettings, StudyData, load
from afml.study.record import RunRecord, stored
from afml.study.settings import RunSettings
from afml.study.single import Federate, code_digest, run_one


@dataclass(frozen=True)
class Job:
    """One run to make.

    Attributes:
        settings: Of the run.
        private_game: Of its all-private baseline.
        federate: A module-level function (workers find it by name); used where `settings.federated`.
    """

    settings: RunSettings
    private_game: RunSettings | None = None
    federate: Federate | None = None


@dataclass(frozen=True)
class Places:
    """Where runs find what they need and leave what they made.

    Attributes:
        source: Folder of real data; None where no job needs any.
        cache: Folder for prepared data.
        runs: results/runs: the stored runs.
    """

    source: Path | None
    cache: Path
    runs: Path


@dataclass(frozen=True)
class Made:
    """What jobs came to.

    Attributes:
        records: In the order of the jobs, those that are there.
        failed: (run, why), runs that ended in an error.
    """

    records: tuple[RunRecord, ...]
    failed: tuple[tuple[str, str], ...]


def one_thread_each() -> None:
    """Workers started from now on use one numerical thread: two runs at a time share two cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def collect(jobs: Sequence[Job], folder: Path) -> tuple[RunRecord, ...]:
    """The stored results of these jobs, in their order."""
    found = (stored(folder, job.settings, job.private_game) for job in jobs)
    return tuple(record for record in found if record is not None)


def stale(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Names of the runs that another version of the source made; they stand, and the tables say so."""
    return tuple(record.name for record in records if record.code_digest != code_digest())


def make_runs(
    jobs: Sequence[Job],
    places: Places,
    *,
    workers: int = 2,
    say: Callable[[str], None] = print,
    each: Callable[[], object] = lambda: None,
) -> Made:
    """Make the runs that are not there yet.

    Args:
        jobs: In the order to run them.
        places: Data and results.
        workers: Processes, one thread each.
        say: Told of every finished run and of the time left.
        each: Called after every finished run (to write partial results).
    """
    code_digest()  # before the source can change under runs that may take hours
    waiting = [job for job in jobs if stored(places.runs, job.settings, job.private_game) is None]
    say(f"{len(jobs)} runs, {len(jobs) - len(waiting)} there already")
    for settings in dict.fromkeys(_key(job.settings.data) for job in waiting):
        load(DataSettings.model_validate_json(settings), source=places.source, cache=places.cache, note=say)
    failed: list[tuple[str, str]] = []
    if waiting:
        one_thread_each()
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context, initializer=_start)
        try:
            started = time.monotonic()
            futures = {pool.submit(_work, job, places): job for job in waiting}
            for count, future in enumerate(as_completed(futures), start=1):
                name = futures[future].settings.name
                try:
                    told = future.result()
                except AfmlError as error:
                    failed.append((name, str(error)))
                    told = f"failed: {error}"
                left = (time.monotonic() - started) / count * (len(waiting) - count)
                say(f"[{count}/{len(waiting)}] {name}: {told}; about {left / 60:.0f} min left")
                each()
        finally:
            _stop(pool)
    return Made(collect(jobs, places.runs), tuple(failed))


def _start() -> None:
    """A worker dies with its parent, leaves Ctrl-C to it, and notes the source that it has just imported."""
    code_digest()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(by=signal.SIGTERM)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End workers that still run: after an interrupt nobody waits for their result."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _key(settings: DataSettings) -> str:
    return settings.canonical().decode()


@lru_cache(maxsize=2)
def _data(key: str, places: Places) -> StudyData:
    return load(DataSettings.model_validate_json(key), source=places.source, cache=places.cache)


def _work(job: Job, places: Places) -> str:
    """In a worker: make one run, store it, say its headline."""
    data = _data(_key(job.settings.data), places)
    record = run_one(
        job.settings,
        data,
        private_game=job.private_game,
        federate=job.federate if job.settings.federated else None,
    )
    record.save(places.runs)
    return (
        f"RR {100 * record.rr:.2f} %, utility ratio {record.utility_ratio:.3f}, PLE {record.ple_sigma:.2f}, "
        f"{record.seconds:.0f} s"
    )
