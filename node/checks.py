"""What a node checks about the aggregator's word before it acts on it.

The aggregator fixes cohorts and adds ciphertexts; it is trusted for neither. A cohort counts only with every
member's own signature. A sum counts only if it is of the attempt this node contributed to, holds this
node's own ciphertexts, and has a norm that clipped and noised updates can have.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import require_lease
from afml.consortium.roster import Roster
from afml.consortium.run import Phase, RunConfig
from afml.core.errors import IntegrityError, Outdated, ProtocolError
from afml.privacy.noise import grid_for, node_std
from afml.wire import federation_pb2 as wire
from crypto.public.signing import verify

NORM_SIGMAS = 12.0
"""A Gaussian vector's norm exceeds its expectation by so many sigmas with probability below 1e-31."""


def verified_cohort(
    config: RunConfig, roster: Roster, attempt: Attempt, tokens: Iterable[wire.ReadyToken]
) -> dict[int, bytes]:
    """The cohort, each member vouched for by its own signature: nobody can invent nodes.

    Returns:
        node -> the nonce of the process by which it takes part, ascending by node.

    Raises:
        ProtocolError: A token is of another attempt, of a stranger, repeated, or the quorum is missed.
        IntegrityError: A token is not signed by its node's roster key.
    """
    place = str(attempt)
    cohort: dict[int, bytes] = {}
    for token in tokens:
        if (token.round, token.attempt) != attempt or token.node in cohort:
            raise ProtocolError("the aggregator announced a wrong cohort", where=place)
        if token.node not in config.enrolled:
            raise ProtocolError(f"node {token.node} is not in this run", where=place)
        require_lease(token.lease, token.node)
        signed = messages.ready(config.run, config.digest(), attempt, token.node, token.model, token.lease)
        key = bytes.fromhex(roster.member(token.node).signing_key)
        verify(key, signed, token.signature, where=f"ready token of node {token.node}")
        cohort[token.node] = token.lease
    if len(cohort) < config.quorum:
        raise ProtocolError(f"a cohort of {len(cohort)} is below the quorum of {config.quorum}", where=place)
    return dict(sorted(cohort.items()))


def require_same_folder(node: int, lease: bytes, binding: Binding, spends: Collection[Attempt]) -> None:
    """Refuse to go on from a work folder that another process of this node has left behind.

    Args:
        node: This node.
        lease: The nonce of this process.
        binding: A published attempt, its members' own tokens verified.
        spends: What this node's ledger has spent.

    Raises:
        Outdated: It holds an update of this node that its ledger knows nothing of, given by another process.
    """
    if node in binding.cohort and binding.attempt not in spends and binding.lease(node) != lease:
        raise Outdated(
            "another process of this institution gave an update to it, of which this work folder knows nothing",
            where=f"sum of {binding.attempt}",
            cure="this is an older copy: go on with the newer one, or put its ledger back with `afml ledger restore`",
        )


def require_own_attempt(
    node: int, attempt: Attempt, cohort: Sequence[int], spends: Mapping[Attempt, Sequence[int]]
) -> bool:
    """Check a published attempt against what this node's ledger says it contributed to.

    Args:
        node: This node.
        attempt: The published attempt.
        cohort: Its verified cohort.
        spends: Attempt -> cohort of what this node spent, of this round at least.

    Returns:
        Whether the sum must hold this node's ciphertexts.

    Raises:
        ProtocolError: It names this node without its contribution, with another cohort, or is an older
            attempt than one that this node has paid for: a replay.
    """
    place = f"sum of {attempt}"
    paid = {at.number: tuple(members) for at, members in spends.items() if at.round == attempt.round}
    if attempt.number < max(paid, default=0):
        raise ProtocolError(f"is older than attempt {max(paid)}, which this node joined", where=place)
    mine = paid.get(attempt.number)
    if mine is not None and mine != tuple(cohort):
        raise ProtocolError(f"cohort {list(cohort)} is not {list(mine)}, which this node joined", where=place)
    if mine is None and node in cohort:
        raise ProtocolError("names this node, which contributed nothing to it", where=place)
    return mine is not None


def largest_norm(config: RunConfig, phase: Phase, cohort: Sequence[int], parameters: int) -> float:
    """Largest L2 norm of an honest cohort's sum, in units of the update, but for NORM_SIGMAS.

    Everybody clipped and aligned, plus the norm of the Gaussian noise, plus every node's rounding.
    """
    people = sum(config.enrolled[node] for node in cohort)
    std = node_std(config, phase) * math.sqrt(len(cohort))
    rounding = grid_for(config, phase).grid.step * len(cohort) * math.sqrt(parameters)
    return people * phase.clip_norm + std * (math.sqrt(parameters) + NORM_SIGMAS) + rounding


def require_plausible(config: RunConfig, phase: Phase, cohort: Sequence[int], total: NDArray[np.int64]) -> None:
    """Refuse a sum that no honest cohort can produce: pads that did not cancel, an update out of range, a wrap.

    Args:
        config: The run.
        phase: Phase of the round.
        cohort: Nodes in the sum.
        total: Decrypted sum in grid steps, int64 [P].

    Raises:
        IntegrityError: Its norm is above `largest_norm`, or a coordinate is so near the end of its bits that it may
            have wrapped around them.
    """
    choice = grid_for(config, phase)
    norm = float(np.linalg.norm(total.astype(np.float64))) * choice.grid.step  # a rotation keeps it
    if norm > largest_norm(config, phase, cohort, len(total)):
        raise IntegrityError(
            "the sum is larger than clipped and noised updates can make it; it was not applied",
            where=f"phase {phase.name}",
            cure="a node's update is missing from it or out of range; check the aggregator and the nodes",
        )
    if int(np.abs(total).max(initial=0)) >= choice.edge:
        raise IntegrityError(
            f"a coordinate of the sum is at the end of its {config.bits} bits and may have wrapped; it was not applied",
            where=f"phase {phase.name}",
            cure="a node's update is out of range; check the nodes and have the coordinator configure another run",
        )
