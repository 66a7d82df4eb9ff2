"""Composed privacy of a list of events, by the first accountant of PREFERENCE that can hold it.

- Only full-batch Gaussians: the closed form, exact.
- Else the privacy random variables of Gopi, Lee, Wutschitz 2021 on a grid of about half a million points.
- Where that grid cannot hold the mechanism (very little noise, extreme rates): Renyi DP, valid and looser.

The result says which accountant spoke. Another one can be asked by name: "PLD" is the second opinion. An
accountant is one object in a file of its own, and a line of ACCOUNTANTS.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from afml.core.errors import ConfigError
from afml.core.registry import Registry
from afml.privacy.events import Composition, Event, compose
from afml.privacy.profile import Profile


class Accountant(Protocol):
    """One way to find what composed events come to; never below the truth."""

    @property
    def name(self) -> str:
        """As in ACCOUNTANTS, and in the profiles that it makes."""
        ...

    def profile(self, composition: Composition, delta: float) -> Profile | None:
        """The privacy profile, accurate at `delta` and above; None where it cannot hold this composition."""
        ...


ACCOUNTANTS: Registry[Accountant] = Registry(
    "accountant",
    {
        "closed form": "afml.privacy.closed_form:ACCOUNTANT",
        "PRV": "afml.privacy.prv:ACCOUNTANT",
        "RDP": "afml.privacy.rdp:ACCOUNTANT",
        "PLD": "afml.privacy.pld:ACCOUNTANT",
    },
)
PREFERENCE = ("closed form", "PRV", "RDP")
"""Tightest first; the last holds everything. What ledgers record depends on it."""


@dataclass(frozen=True)
class Epsilon:
    """epsilon at delta, and the name of the accountant that computed it."""

    value: float
    delta: float
    accountant: str


def require_delta(delta: float) -> None:
    """Refuse a delta outside (0, 1).

    Raises:
        ConfigError: It is outside.
    """
    if not 0 < delta < 1:
        raise ConfigError(f"delta must be strictly between 0 and 1, not {delta!r}", where="delta")


def profile(events: Sequence[Event], delta: float, accountant: str | None = None) -> Profile:
    """The privacy profile of `events`, accurate at `delta` and above.

    Args:
        events: What ran.
        delta: Target.
        accountant: One of ACCOUNTANTS; by default the first of PREFERENCE that holds these events.

    Raises:
        ConfigError: `delta` is outside (0, 1), there is no such accountant, or it cannot hold these events.
    """
    require_delta(delta)
    return composed_profile(compose(events), delta, accountant)


def epsilon(events: Sequence[Event], delta: float, accountant: str | None = None) -> Epsilon:
    """epsilon of `events` at `delta`; arguments and errors as of `profile`."""
    found = profile(events, delta, accountant)
    return Epsilon(found.epsilon(delta), delta, found.accountant)


@functools.lru_cache(maxsize=256)
def composed_profile(composition: Composition, delta: float, accountant: str | None = None) -> Profile:
    """`profile` of events that are already gathered; `delta` must be in (0, 1)."""
    for name in PREFERENCE if accountant is None else (accountant,):
        found = ACCOUNTANTS.get(name).profile(composition, delta)
        if found is not None:
            return found
    raise ConfigError("cannot hold these events", where=f"accountant {accountant}", cure="ask another one")
