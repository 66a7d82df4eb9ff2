"""What was measured before a gate refused: whoever is refused sees why, in the table that a pass would show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from afml.core.errors import GateError
from afml.genomics.calls.account import CallReading
from afml.genomics.qc.counts import count
from afml.genomics.qc.gates import store_gates
from afml.genomics.qc.report import Spread, rate_rows, table
from afml.genomics.qc.settings import GateSettings
from afml.genomics.store import GenotypeStore


@contextmanager
def telling(lines: Callable[[], Sequence[str]]) -> Iterator[None]:
    """What a gate refuses in here says what was measured.

    Args:
        lines: Asked for the table when a gate has refused, and not before.
    """
    try:
        yield
    except GateError as refused:
        refused.table = tuple(lines())
        raise


def of_reading(reading: CallReading) -> tuple[str, ...]:
    """What was met while files were read; nothing of files that were not read to their end."""
    if reading.tally is None:
        return ()
    return (*table((), reading.tally.told(), ()), *reading.rules.policy.remarks())


def of_store(
    store: GenotypeStore, public: GenotypeStore, reading: CallReading, settings: GateSettings
) -> tuple[str, ...]:
    """What a store says of itself before it is known whose its columns are.

    Args:
        store: Every column.
        public: The public panel.
        reading: What was met while it was made.
        settings: Of the gates.
    """
    counts = count(store)
    people = 0 if store.panel.drawn_people else len(public)
    gates = store_gates(store, counts, people, settings)
    rates = rate_rows(Spread.of(counts.sites.called[~store.absent] / len(store)), Spread.of(counts.people.call_rate))
    account = reading.account()
    return (*table([gate.row() for gate in gates], account.counts, rates), *account.remarks())
