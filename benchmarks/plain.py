"""The same round without encryption: float32 chunks, summed in the clear. For comparison, never in the product.

Everything else stays: processes, mutual TLS, framing, signatures, digests, files, ledger. A chunk holds as many
coordinates as a ciphertext of the run would. `install` puts these parts in place of the product's, in a
process of the benchmark only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aggregator.server
import crypto.public.admission
import crypto.secret.outbox
import node.session
from afml.core.errors import ProtocolError
from afml.core.recordfile import read_records, write_records
from aggregator.summing import Summer
from crypto.public.grid import Grid
from crypto.public.params import CodecParams


def chunk_bytes(params: CodecParams) -> int:
    """Bytes of one float32 chunk."""
    return 4 * params.parameters_per_chunk


class PlainCodec:
    """Stands in for `UpdateCodec`: the same chunks, their coordinates in float32."""

    def __init__(self, params: CodecParams, grid: Grid, *_: object) -> None:
        self.params, self.grid = params, grid

    def encode(self, values: NDArray[np.float64], **_: object) -> Iterator[bytes]:
        size = self.params.parameters_per_chunk
        padded = np.zeros(self.params.chunks(values.size) * size, dtype=np.float32)
        padded[: values.size] = values
        for start in range(0, padded.size, size):
            yield padded[start : start + size].tobytes()

    def decode(self, payloads: Iterable[bytes], parameters: int) -> NDArray[np.float64]:
        """The sum in grid steps, as the session expects it."""
        total = np.concatenate([np.frombuffer(payload, np.float32) for payload in payloads])
        return total[:parameters].astype(np.float64) / self.grid.step


def _unbound(payloads: Iterable[bytes], *_: object) -> Iterable[bytes]:
    """A sum of float32 holds no seeds that could bind it to an attempt."""
    return payloads


def _check(params: CodecParams, payload: bytes) -> None:
    if len(payload) != chunk_bytes(params):
        raise ProtocolError("wrong size", where="payload")


def _sum_range(uploads: dict[int, Path], out: Path, start: int, stop: int) -> None:
    with contextlib.ExitStack() as stack:
        streams = [read_records(path, start, stop) for path in uploads.values()]
        for stream in streams:
            stack.callback(stream.close)
        write_records(
            out,
            (
                np.add.reduce([np.frombuffer(record, np.float32) for record in records]).tobytes()
                for records in zip(*streams, strict=True)
            ),
        )


class PlainSummer(Summer):
    """Adds float32 chunks in the same pool of processes."""

    def sum(self, uploads: dict[int, Path], params: CodecParams, chunks: int, out: Path) -> None:
        share = -(-chunks // self._workers)
        starts = range(0, chunks, share)
        parts = [out.with_name(f"{out.name}.part{start}") for start in starts]
        stops = [min(chunks, start + share) for start in starts]
        list(self._pool.map(_sum_range, repeat(uploads), parts, starts, stops))
        write_records(out, (record for part in parts for record in read_records(part)))
        for part in parts:
            part.unlink()


def install() -> None:
    """Swap the encrypted parts of this process for plain ones."""
    parts: dict[Any, dict[str, Any]] = {
        crypto.public.admission: {"check_payload": _check},
        crypto.secret.outbox: {"upload_size": chunk_bytes},
        aggregator.server: {"Summer": PlainSummer},
        node.session: {"UpdateCodec": PlainCodec, "bound_to": _unbound},
    }
    for module, names in parts.items():
        for name, value in names.items():
            assert hasattr(module, name), f"{module.__name__}.{name} has moved"
            setattr(module, name, value)
