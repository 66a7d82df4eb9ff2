"""What one node makes for all: names that the aggregator and the nodes share, and who is appointed.

A maker sends all other nodes one sealed letter under the subject. Once it is with the aggregator, that one writes
down that this maker's work counts; until then another node may be appointed in its place, and nobody uses anything of
what the first one made. So all nodes hold the same, whichever of them is lost and whenever.
"""

from __future__ import annotations

from typing import NamedTuple

RUN_KEY, PUBLIC_PART = "run-key", "public-model"
"""Subjects of letters: the backend's shared key, the task's public part."""


class Maker(NamedTuple):
    """Who makes something, and whether it is made: then nobody is appointed any more."""

    node: int
    done: bool = False
