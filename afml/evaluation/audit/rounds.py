"""Rounds as the attacker watches them: the product's own training step, grid, codec and blind sum.

`play` is one round of `afml.training.inprocess`; `Channel` is the way through pads and ciphertexts, which
must give the same integers. Who the attacker is: everybody but the honest nodes that the guarantee counts
on. In distributed mode it is the aggregator with `max_colluding` nodes of a cohort of exactly `quorum`;
in local mode it reads one node's own update.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import IntegrityError
from afml.core.run import RunConfig
from afml.privacy.noise import grid_for, honest_nodes
from afml.training.program import Cohort, Program
from afml.training.step import node_update
from crypto.public.blind import add_payloads
from crypto.public.grid import Grid
from crypto.public.random import SystemRandom
from crypto.public.scheme import run_params
from crypto.secret.ckks import RunKey
from crypto.secret.pads import PadKeys
from crypto.secret.update import Pads, UpdateCodec

Fields = dict[int, NDArray[np.int64]]


def cohort_of(config: RunConfig) -> tuple[int, ...]:
    """The nodes of the smallest cohort that may go ahead."""
    return config.nodes[: config.quorum]


def honest_of(config: RunConfig) -> tuple[int, ...]:
    """The nodes of `cohort_of` whose noise protects people from the attacker."""
    return config.nodes[:1] if config.noise == "local" else config.nodes[: honest_nodes(config)]


def nobody(sites: int) -> Cohort:
    """A node without people: it sends noise."""
    return Cohort(np.zeros((0, sites), np.int8), np.zeros(0, np.int8))


def together(first: Cohort, second: Cohort) -> Cohort:
    """The people of both."""
    return first.joined(second)


def play(program: Program, config: RunConfig, cohorts: Mapping[int, Cohort], round_number: int) -> Fields:
    """Every cohort's update of one round, as the integers that get encrypted.

    Args:
        program: At the parameters of this round; not changed.
        config: The run; its seed, or the operating system, gives batch, noise and rounding.
        cohorts: Node -> its enrolled people.
        round_number: 1-based.

    Returns:
        Node -> int64 [parameters], in ascending order of nodes.
    """
    _, phase = config.phase_of(round_number)
    grid = grid_for(config, phase).grid
    fields: Fields = {}
    for node in sorted(cohorts):
        update = node_update(program, config, cohorts[node], node=node, round_number=round_number)
        fields[node] = grid.quantise(update.values, update.rounding)
    return fields


class Channel:
    """Pads, CKKS and the keyless sum of a consortium held in memory, with fresh keys.

    Args:
        config: The run; its phases declare `parameters`.
    """

    def __init__(self, config: RunConfig) -> None:
        self._params = run_params(config)
        run_key = RunKey.generate(self._params)
        keys = {node: PadKeys.generate() for node in config.nodes}
        pads = {
            node: Pads(node, config.digest(), {p: keys[node].shared(keys[p].public) for p in keys if p != node})
            for node in keys
        }
        # The integers are on the grid already; a step of one carries them without a rounding error.
        unit = Grid(1.0, config.bits)
        self._codecs = {node: UpdateCodec(self._params, unit, run_key, pads[node]) for node in keys}
        self._attempt = 0

    def total(self, fields: Fields, round_number: int) -> NDArray[np.int64]:
        """Encrypt, add blind, decrypt.

        Raises:
            IntegrityError: The decrypted sum is not the sum of the integers that went in.
        """
        self._attempt += 1  # fresh pads every time
        uploads = [
            self._codecs[node].encode(
                values.astype(np.float64), round=round_number, attempt=self._attempt, cohort=tuple(fields),
                rng=SystemRandom(),
            )
            for node, values in fields.items()
        ]  # fmt: skip
        sums = [add_payloads(self._params, column) for column in zip(*uploads, strict=True)]
        expected = plain_total(fields)
        decoded = self._codecs[min(fields)].decode(sums, len(expected))
        if not np.array_equal(decoded, expected):
            raise IntegrityError("the decrypted sum is not the sum of what was encrypted", where="audit")
        return decoded


def plain_total(fields: Fields) -> NDArray[np.int64]:
    """The exact integer sum, int64 [parameters]."""
    return np.asarray(np.sum(list(fields.values()), axis=0))
