"""Rounds as the attacker watches them: the product's own training step, grid, codec and blind sum.

`play` is one round of `afml.training.inprocess`; `Channel` is the way through pads and backend, which
must give the same integers. Who the attacker is: everybody but the honest nodes that the guarantee counts
on. In distributed mode it is the aggregator with `max_colluding` nodes of a cohort of exactly `quorum`;
in local mode it reads the own updates of all nodes that one person may be enrolled at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from afml.core.errors import IntegrityError
from afml.masking.enrolled import Enrolled
from afml.masking.task import MaskingTask
from afml.privacy.noise import honest_nodes, round_grid
from afml.training.step import Trainer
from crypto.secret.backend import backend
from crypto.secret.pads import PadKeys, Pads

Fields = dict[int, NDArray[np.int64]]


def cohort_of(config: RunConfig) -> tuple[int, ...]:
    """The nodes of the smallest cohort that may go ahead."""
    return config.nodes[: config.quorum]


def honest_of(config: RunConfig) -> tuple[int, ...]:
    """The nodes of `cohort_of` whose noise protects people from the attacker."""
    watched = config.enrolments_per_person if config.noise == "local" else honest_nodes(config)
    return config.nodes[: min(watched, config.quorum)]


def observer_of(config: RunConfig) -> str:
    """Who attacks, in words that follow "an observer who"."""
    knows = "knows everybody else's data and every parameter"
    if config.noise == "local":
        count = config.enrolments_per_person
        whose = "the own updates of one institution" if count == 1 else f"the own updates of {count} institutions"
        return f"reads {whose} in the clear, round by round, {knows}, and lacks only the noise in them"
    least, all_but = config.quorum, config.quorum - len(honest_of(config))
    return (
        f"sees the decrypted sum of every round over {least} institutions, {knows} and the noise of {all_but} of the "
        f"{least}, and lacks only that of the others"
    )


def nobody(sites: int) -> Enrolled:
    """A node without people: it sends noise."""
    return Enrolled(np.zeros((0, sites), np.int8), np.zeros(0, np.int8))


def together(first: Enrolled, second: Enrolled) -> Enrolled:
    """The people of both."""
    return first.joined(second)


def play(task: MaskingTask, config: RunConfig, enrolled: Mapping[int, Enrolled], round_number: int) -> Fields:
    """Every node's update of one round, as the integers that get encrypted.

    Args:
        task: At the parameters of this round; not changed.
        config: The run; its seed, or the operating system, gives batch, noise and rounding.
        enrolled: Node -> its enrolled people.
        round_number: 1-based.

    Returns:
        Node -> int64 [parameters], in ascending order of nodes.
    """
    return updates({node: Trainer(config, task, people) for node, people in enrolled.items()}, config, round_number)


def updates(trainers: Mapping[int, Trainer], config: RunConfig, round_number: int) -> Fields:
    """`play`, with the trainer of every node given."""
    grid = round_grid(config, round_number)
    fields: Fields = {}
    for node in sorted(trainers):
        update = trainers[node].update(node, round_number)
        fields[node] = update.rounded(grid)
    return fields


class Channel:
    """Codecs and keyless sum, by the run's backend, of a consortium held in memory, with fresh keys.

    Args:
        config: The run; its phases declare `parameters`.
    """

    def __init__(self, config: RunConfig) -> None:
        self._config, self._params = config, run_params(config)
        self._backend = backend(config.backend)
        shared = self._backend.make_key(self._params)
        keys = {node: PadKeys.generate() for node in config.nodes}
        pads = {
            node: Pads(node, config.digest(), {p: keys[node].shared(keys[p].public) for p in keys if p != node})
            for node in keys
        }
        self._codecs = {node: self._backend.codec(self._params, shared, pads[node]) for node in keys}
        self._attempt = 0

    def total(self, fields: Fields, round_number: int) -> NDArray[np.int64]:
        """Encrypt, add blind, decrypt.

        Raises:
            IntegrityError: The decrypted sum is not the sum of the integers that went in.
        """
        self._attempt += 1  # fresh pads every time
        attempt = Attempt(round_number, self._attempt)
        binding = Binding(self._config.run, self._config.digest(), attempt, tuple(fields))
        uploads = [self._codecs[node].encode(values, binding=binding) for node, values in fields.items()]
        sums = [self._added(column) for column in zip(*uploads, strict=True)]
        expected = plain_total(fields)
        decoded = self._codecs[min(fields)].decode(sums, len(expected))
        if not np.array_equal(decoded, expected):
            raise IntegrityError("the decrypted sum is not the sum of what was encrypted", where="audit")
        return decoded

    def _added(self, column: Iterable[bytes]) -> bytes:
        adder = self._backend.adder(self._params)
        for payload in column:
            adder.add(payload)
        return adder.total()


def plain_total(fields: Fields) -> NDArray[np.int64]:
    """The exact integer sum, int64 [parameters]."""
    return np.asarray(np.sum(list(fields.values()), axis=0))
