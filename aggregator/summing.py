"""The blind sum: worker processes add ciphertexts chunk by chunk, straight from one file to another.

Python's interpreter lock leaves threads one core, so the adding uses processes. A worker holds one running sum and
one ciphertext at a time, whatever the size of the model or the number of nodes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context, parent_process
from pathlib import Path

from afml.core.errors import AfmlError
from afml.core.recordfile import read_records, write_records
from aggregator.scheme import Scheme


class BadCiphertext(AfmlError):
    """A stored ciphertext cannot be added."""

    exit_code = 5

    def __init__(self, node: int, problem: str) -> None:
        self.node, self.detail = node, problem
        super().__init__(problem, where=f"node {node}")

    def __reduce__(self) -> tuple[type[BadCiphertext], tuple[int, str]]:
        return BadCiphertext, (self.node, self.detail)


def _sum_range(scheme: Scheme, uploads: dict[int, Path], out: Path, start: int, stop: int) -> Path:
    """Add chunks `start` to `stop` of all uploads into `out`. Runs in a worker process."""
    streams = {node: read_records(path, start, stop) for node, path in uploads.items()}
    with contextlib.ExitStack() as stack:
        for stream in streams.values():
            stack.callback(stream.close)

        def totals() -> Iterator[bytes]:
            for _ in range(start, stop):
                adder = scheme.adder()
                for node, stream in streams.items():
                    try:
                        adder.add(next(stream))
                    except AfmlError as error:
                        raise BadCiphertext(node, error.problem) from None
                yield adder.total()

        write_records(out, totals())
    return out


def _follow_parent() -> None:
    """End this worker when the aggregator is killed: its queue alone would not tell it."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class Summer:
    """A pool of adding processes, for all runs that a process serves."""

    def __init__(self, workers: int) -> None:
        """`workers` processes, started at once and afresh (never forked from a process that runs gRPC)."""
        self._workers = max(1, workers)
        self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=_follow_parent)
        self._pool.submit(int)  # the first task starts every worker: no round waits for them

    def sum(self, scheme: Scheme, uploads: dict[int, Path], chunks: int, out: Path) -> None:
        """Write the ciphertext sum of all uploads of a scheme, chunk by chunk, to `out`.

        Raises:
            BadCiphertext: Names the node whose ciphertext is unusable.
        """
        share = -(-chunks // self._workers)
        starts = range(0, chunks, share)
        parts = [out.with_name(f"{out.name}.part{start}") for start in starts]
        stops = [min(chunks, start + share) for start in starts]
        try:
            list(self._pool.map(_sum_range, repeat(scheme), repeat(uploads), parts, starts, stops))
            write_records(out, (record for part in parts for record in read_records(part)))
        finally:
            for part in parts:
                part.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop the workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)
