"""What a node believes of an aggregator: cohorts, attempts and sums, checked before anything is spent or applied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import LEASE_BYTES
from afml.consortium.run import RunConfig
from afml.core.errors import BudgetError, IntegrityError, ProtocolError
from afml.privacy.noise import grid_for, node_std
from afml.wire import federation_pb2 as wire
from crypto.public.ckks import KEYLESS_CKKS
from crypto.public.grid import Grid
from crypto.public.params import choose
from crypto.public.signing import sign
from node.checks import require_own_attempt, require_plausible, verified_cohort
from node.guard import Guard
from tests.aggregator.machine import PARAMETERS, small_run
from tests.crypto import parties
from tests.ledger.helpers import open_ledger
from tests.policies import terms

ROSTER, KEYS = parties.roster(4)
CONFIG = small_run(4)
MODEL, LEASE = bytes(32), bytes(LEASE_BYTES)


def token(node: int, attempt: int = 1, *, signer: int | None = None) -> wire.ReadyToken:
    signed = messages.ready(CONFIG.run, CONFIG.digest(), Attempt(1, attempt), node, MODEL, LEASE)
    key = KEYS[signer or node]
    return wire.ReadyToken(run=CONFIG.run, config_digest=CONFIG.digest(), round=1, attempt=attempt, node=node,
                           model=MODEL, lease=LEASE, signature=sign(key, signed))  # type: ignore[arg-type]  # fmt: skip


# -- cohorts -----------------------------------------------------------------------------------------


def test_a_cohort_of_signed_tokens_is_believed() -> None:
    believed = verified_cohort(CONFIG, ROSTER, Attempt(1, 1), [token(4), token(1), token(2)])
    assert list(believed.items()) == [(1, LEASE), (2, LEASE), (4, LEASE)]


def test_nobody_can_be_invented() -> None:
    stranger = token(1)
    stranger.node = 9
    with pytest.raises(ProtocolError, match="node 9 is not in this run"):
        verified_cohort(CONFIG, ROSTER, Attempt(1, 1), [token(1), token(2), stranger])
    with pytest.raises(IntegrityError, match="ready token of node 3"):
        verified_cohort(CONFIG, ROSTER, Attempt(1, 1), [token(1), token(2), token(3, signer=1)])
    with pytest.raises(ProtocolError, match="wrong cohort"):
        verified_cohort(CONFIG, ROSTER, Attempt(1, 1), [token(1), token(2), token(2)])


def test_a_token_of_another_attempt_is_not_believed() -> None:
    with pytest.raises(ProtocolError, match="wrong cohort"):
        verified_cohort(CONFIG, ROSTER, Attempt(1, 2), [token(1), token(2), token(3)])


def test_a_cohort_below_the_quorum_is_not_believed() -> None:
    with pytest.raises(ProtocolError, match="cohort of 2 is below the quorum of 3"):
        verified_cohort(CONFIG, ROSTER, Attempt(1, 1), [token(1), token(2)])


# -- attempts ----------------------------------------------------------------------------------------


def test_attempts_end_with_the_reserve_of_the_plan(tmp_path: Path) -> None:
    config = small_run(4, rounds=2, reserve_attempts=1)
    with open_ledger(tmp_path) as ledger:
        guard = Guard(ledger, config, [f"person-{i}" for i in range(40)], terms())
        guard.reserve()
        for number in (1, 2, 3):
            guard.check(1)
            guard.spend(Binding(config.run, config.digest(), Attempt(1, number), (1, 2, 3)))
        with pytest.raises(BudgetError, match="used the 3 attempts of its plan"):
            guard.check(1)
        with pytest.raises(BudgetError, match="used the 3 attempts of its plan"):
            guard.spend(Binding(config.run, config.digest(), Attempt(1, 4), (1, 2, 3)))


def test_sums_of_other_attempts_are_refused() -> None:
    spends = {Attempt(1, 1): (1, 2, 3, 4), Attempt(1, 2): (1, 2, 3)}
    assert require_own_attempt(1, Attempt(1, 2), (1, 2, 3), spends)
    assert not require_own_attempt(
        1, Attempt(1, 3), (2, 3, 4), spends
    )  # it missed that attempt, and is not named in it
    with pytest.raises(ProtocolError, match="older than attempt 2"):
        require_own_attempt(1, Attempt(1, 1), (1, 2, 3, 4), spends)
    with pytest.raises(ProtocolError, match="is not"):
        require_own_attempt(1, Attempt(1, 2), (1, 2, 4), spends)
    with pytest.raises(ProtocolError, match="contributed nothing"):
        require_own_attempt(1, Attempt(1, 3), (1, 2, 3), spends)


# -- sums --------------------------------------------------------------------------------------------


def test_a_sum_must_hold_this_nodes_own_ciphertexts() -> None:
    params, grid, cohort = choose(4, 16, 20_000), Grid(1.0), [1, 2, 3]
    update = np.zeros(20_000)
    first = [parties.encode(params, grid, node, update, cohort) for node in cohort]
    other = [parties.encode(params, grid, node, update, cohort, Attempt(1, 2)) for node in cohort]
    total, foreign = parties.blind_sum(params, first), parties.blind_sum(params, other)
    assert list(KEYLESS_CKKS.bind(total, first[0], 3, params)) == total
    with pytest.raises(IntegrityError, match="chunk 0 does not hold this node's ciphertext"):
        list(KEYLESS_CKKS.bind(foreign, first[0], 3, params))
    with pytest.raises(IntegrityError, match="chunk 1 does not hold"):
        list(KEYLESS_CKKS.bind([total[0], foreign[1]], first[0], 3, params))
    with pytest.raises(IntegrityError, match="does not hold"):
        list(KEYLESS_CKKS.bind(total[::-1], first[0], 3, params))
    with pytest.raises(ProtocolError, match="sums 2 updates, not 3"):
        list(KEYLESS_CKKS.bind(parties.blind_sum(params, first[:2]), None, 3, params))


def impossible(config: RunConfig, scale: float) -> np.ndarray:
    """A sum whose norm is `scale` times what everybody clipped and aligned reaches without noise."""
    people = sum(config.enrolled[node] for node in (1, 2, 3))
    step = grid_for(config, config.phases[0]).grid.step
    return np.full(PARAMETERS, round(scale * people / np.sqrt(PARAMETERS) / step), dtype=np.int64)


def test_a_sum_larger_than_clipping_and_noise_allow_is_refused() -> None:
    phase = CONFIG.phases[0]
    noise = node_std(CONFIG, phase) * np.sqrt(3) * np.random.default_rng(1).normal(size=PARAMETERS)
    honest = np.rint(noise / grid_for(CONFIG, phase).grid.step).astype(np.int64)
    require_plausible(CONFIG, phase, (1, 2, 3), honest + impossible(CONFIG, 1.0))
    with pytest.raises(IntegrityError, match="larger than clipped and noised updates"):
        require_plausible(CONFIG, phase, (1, 2, 3), impossible(CONFIG, 3.0))
