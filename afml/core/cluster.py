"""Work on a Dask cluster of the institution's own, where one machine is too small.

Within `on_cluster`, `each` has work done by the workers of the cluster, and in this process elsewhere. Results come in
the order of the work, so nothing depends on who did what. What an ended worker had to do is done again by another one:
doing it twice must be no harm. Workers share a file system with this process and have the same AFML; both is looked at
before anything is sent.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from afml import __version__
from afml.core.children import usable_processors
from afml.core.errors import AfmlError, ConfigError, InputError

T = TypeVar("T")
LOCAL = "local"
"""Instead of an address: workers on this machine, one per processor."""

_OPTION = "--dask"
_AHEAD = 2  # pieces of work per worker that are under way
_SECONDS = "30s"
_TRIES = 5  # to connect, where a scheduler says several things at once
_DONE, _ERROR = "done", "error"


class Cluster:
    """Workers that are there.

    Args:
        client: Of Dask.
        address: As the user named them, for messages.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address

    @property
    def workers(self) -> int:
        """How many threads of workers there are, one at least."""
        return max(1, sum(int(threads) for threads in self._client.nthreads().values()))

    def each(self, work: Sequence[Callable[[], T]]) -> Iterator[T]:
        """The results of pieces of work, in order; few are under way at a time.

        Args:
            work: What can be pickled (cloudpickle), and done twice.

        Raises:
            AfmlError: What the first piece to fail raised.
            InputError: Workers were ended over one piece again and again, or the cluster is gone.
        """
        waiting, running = deque(work), deque[Any]()
        try:
            while waiting or running:
                while waiting and len(running) < _AHEAD * self.workers:
                    running.append(self._client.submit(_told, waiting.popleft(), pure=False))
                yield self._heard(running.popleft())
        finally:
            self._client.cancel(list(running))

    def require_shared(self, folder: Path) -> None:
        """Refuse workers that do not see a folder of this process, or that have another AFML.

        Raises:
            InputError: Says how many.
        """
        mark = folder.absolute() / f".seen-{uuid.uuid4().hex}"
        try:
            mark.touch()
        except OSError:
            raise InputError("is no folder to work in", where=folder, cure="check the path") from None
        try:
            found = self._client.run(_seen, str(mark))
        finally:
            mark.unlink()
        blind = sum(1 for there, _ in found.values() if not there)
        if blind:
            raise InputError(
                f"{blind} of {len(found)} workers do not see {folder}", where=f"{_OPTION} {self._address}",
                cure="start them with the same file system, or leave --dask out",
            )  # fmt: skip
        other = sorted({version for _, version in found.values()} - {__version__})
        if other:
            raise InputError(
                f"workers have AFML {', '.join(other)}, not {__version__}", where=f"{_OPTION} {self._address}",
                cure="install the same AFML there",
            )  # fmt: skip

    def _heard(self, future: Any) -> Any:
        try:
            kind, content = future.result()
        except Exception as error:  # a bug of ours, a worker's end, a scheduler that is gone
            raise InputError(
                f"workers could not do a piece of work ({type(error).__name__})", where=f"{_OPTION} {self._address}",
                cure="look at what the workers say: they may lack memory",
            ) from error  # fmt: skip
        if kind == _ERROR:
            made, problem, where, cure = content
            raise made(problem, where=where, cure=cure)
        return content


_now: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


def cluster() -> Cluster | None:
    """The cluster that work is done on just now; None for this machine alone."""
    return _now.get()


def each(work: Sequence[Callable[[], T]]) -> Iterator[T]:
    """The results of pieces of work, in order: of the cluster's workers, or one after another in this process."""
    there = _now.get()
    return there.each(work) if there is not None else (one() for one in work)


@contextlib.contextmanager
def on_cluster(address: str | None, folder: Path) -> Iterator[None]:
    """Have work done on a cluster.

    Args:
        address: Of its scheduler (`tcp://...`, `tls://...`), or `LOCAL`; None for this process.
        folder: Where work is read and written: its workers must see it.

    Raises:
        ConfigError: Dask is not installed.
        InputError: Nobody answers there, or the workers are no use; see `Cluster.require_shared`.
    """
    if address is None:
        yield
        return
    try:
        import distributed
    except ImportError:
        raise ConfigError("Dask is not installed", where=_OPTION, cure="pip install 'afml[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it would say, the errors here say in a line
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="Sending large graph")
        place: Any = address
        if address == LOCAL:
            start = partial(distributed.LocalCluster, dashboard_address=None, silence_logs=logging.CRITICAL)
            place = stack.enter_context(start(n_workers=usable_processors(), threads_per_worker=1))
        try:
            client = stack.enter_context(
                _met(partial(distributed.Client, place, timeout=_SECONDS, set_as_default=False))
            )
            client.wait_for_workers(1, timeout=_SECONDS)
        except (OSError, TimeoutError, ValueError, AssertionError) as error:
            raise InputError(
                f"no worker answers ({type(error).__name__})", where=f"{_OPTION} {address}",
                cure="start the scheduler and its workers first (dask scheduler, dask worker)",
            ) from None  # fmt: skip
        found = Cluster(client, address)
        found.require_shared(folder)
        token = _now.set(found)
        try:
            yield
        finally:
            _now.reset(token)


def _met(connect: Callable[[], T]) -> T:
    """A client. Dask's takes it as given that a scheduler's first word comes alone; that of a busy one may not."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(AssertionError):
            return connect()
    return connect()


def _told(work: Callable[[], T]) -> tuple[str, Any]:
    """A worker's answer: a result, or what an error said; errors of ours do not survive pickling as they are."""
    try:
        return _DONE, work()
    except AfmlError as error:
        return _ERROR, (type(error), error.problem, error.where, error.cure)


def _seen(mark: str) -> tuple[bool, str]:
    return Path(mark).exists(), __version__
