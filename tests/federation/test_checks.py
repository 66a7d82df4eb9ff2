"""What a node does not believe: cohorts, replayed and impossible sums, attempts beyond the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.run import Budget, RunConfig
from afml.consortium.scheme import run_params
from afml.core.errors import BudgetError, IntegrityError, ProtocolError
from afml.privacy.noise import grid_for
from afml.wire import federation_pb2 as wire
from crypto.ckks.codec import UpdateCodec
from crypto.ckks.run_key import RunKey
from crypto.public.blind import add_payloads
from crypto.public.ckks import KEYLESS_CKKS
from crypto.public.random import SeededRandom
from crypto.secret.pads import PadKeys, Pads
from node.checks import largest_norm, require_own_attempt, require_plausible, verified_cohort
from node.guard import Guard
from tests.aggregator.machine import PARAMETERS, Machine, small_run
from tests.ledger.helpers import open_ledger
from tests.policies import terms

# -- cohorts -----------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.store.close()


def _verify(machine: Machine, tokens: list[wire.ReadyToken]) -> tuple[int, ...]:
    return tuple(verified_cohort(machine.config, machine.roster, Attempt(1, 1), tokens))


def test_a_cohort_counts_with_every_members_signature(machine: Machine) -> None:
    tokens = [machine.token(node, 1, 1) for node in (3, 1, 2)]
    assert _verify(machine, tokens) == (1, 2, 3)
    with pytest.raises(IntegrityError, match="ready token of node 2"):
        _verify(machine, [machine.token(1, 1, 1), machine.token(2, 1, 1, signer=1), machine.token(3, 1, 1)])


def test_a_cohort_is_refused_when_repeated_strange_stale_or_small(machine: Machine) -> None:
    tokens = [machine.token(node, 1, 1) for node in (1, 2, 3)]
    with pytest.raises(ProtocolError, match="wrong cohort"):
        _verify(machine, [*tokens, tokens[0]])
    with pytest.raises(ProtocolError, match="wrong cohort"):
        _verify(machine, [*tokens[:2], machine.token(3, 1, 2)])
    with pytest.raises(ProtocolError, match="below the quorum of 3"):
        _verify(machine, tokens[:2])
    with pytest.raises(ProtocolError, match="below the quorum"):
        _verify(machine, [])
    stranger = machine.token(4, 1, 1)
    stranger.node = 9
    with pytest.raises(ProtocolError, match="node 9 is not in this run"):
        _verify(machine, [*tokens, stranger])


# -- which attempt a sum is of -----------------------------------------------------------------------

SPENDS = {Attempt(1, 1): (1, 2, 3, 4), Attempt(2, 1): (1, 2, 3, 4), Attempt(2, 2): (1, 2, 3)}


def test_a_sum_must_be_of_the_attempt_that_was_paid_for() -> None:
    assert require_own_attempt(1, Attempt(2, 2), (1, 2, 3), SPENDS) is True
    assert require_own_attempt(1, Attempt(2, 3), (2, 3, 4), SPENDS) is False, "a later attempt without this node"
    assert require_own_attempt(1, Attempt(3, 1), (2, 3, 4), SPENDS) is False
    with pytest.raises(ProtocolError, match="older than attempt 2"):
        require_own_attempt(1, Attempt(2, 1), (1, 2, 3, 4), SPENDS)
    with pytest.raises(ProtocolError, match=r"cohort \[1, 2, 4\] is not \[1, 2, 3\]"):
        require_own_attempt(1, Attempt(2, 2), (1, 2, 4), SPENDS)
    with pytest.raises(ProtocolError, match="contributed nothing"):
        require_own_attempt(1, Attempt(3, 1), (1, 2, 3), SPENDS)


# -- sums --------------------------------------------------------------------------------------------


class Trio:
    """Three nodes with pads and one CKKS key; `sum` is what an aggregator would make."""

    def __init__(self, config: RunConfig) -> None:
        self.config, self.phase = config, config.phases[0]
        self.params, self.grid = run_params(config), grid_for(config, config.phases[0]).grid
        key = RunKey.generate(self.params)
        own = {node: PadKeys.generate() for node in config.nodes}
        self.codecs = {
            node: UpdateCodec(
                self.params,
                key,
                Pads(node, config.digest(), {p: own[node].shared(own[p].public) for p in own if p != node}),
            )
            for node in config.nodes
        }

    def upload(self, node: int, attempt: int, cohort: tuple[int, ...], values: NDArray[np.float64]) -> list[bytes]:
        fields = self.grid.quantise(values, SeededRandom(node, attempt))
        binding = Binding(self.config.run, self.config.digest(), Attempt(1, attempt), cohort)
        return list(self.codecs[node].encode(fields, binding=binding))

    def sum(self, *uploads: list[bytes]) -> list[bytes]:
        return [add_payloads(self.params, chunk) for chunk in zip(*uploads, strict=True)]

    def receive(self, total: list[bytes], own: list[bytes] | None, cohort: tuple[int, ...]) -> NDArray[np.int64]:
        """What a node does with a sum."""
        bound = KEYLESS_CKKS.bind(total, own, len(cohort), self.params)
        decoded = self.codecs[1].decode(bound, PARAMETERS)
        require_plausible(self.config, self.phase, cohort, decoded)
        return decoded


ALL = (1, 2, 3)


@pytest.fixture(scope="module")
def trio() -> Trio:
    return Trio(small_run(3))


@pytest.fixture(scope="module")
def values() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(scale=3.0, size=(4, PARAMETERS))


def test_an_honest_sum_is_accepted(trio: Trio, values: NDArray[np.float64]) -> None:
    uploads = [trio.upload(node, 1, ALL, values[node]) for node in ALL]
    total = trio.receive(trio.sum(*uploads), uploads[0], ALL)
    error = trio.grid.dequantise(total) - values[1:].sum(axis=0)
    assert np.abs(error).max() <= 3 * trio.grid.step
    assert trio.receive(trio.sum(*uploads), None, ALL).tolist() == total.tolist()


def test_the_largest_honest_sum_is_accepted(trio: Trio) -> None:
    """Everybody aligned, and ten sigmas of noise on top."""
    limit = largest_norm(trio.config, trio.phase, ALL, PARAMETERS)
    people = sum(trio.config.enrolled.values())
    total = np.zeros(PARAMETERS)
    total[0] = people * trio.phase.clip_norm
    require_plausible(trio.config, trio.phase, ALL, (total / trio.grid.step).astype(np.int64))
    assert limit > people


def test_a_replayed_sum_is_refused(trio: Trio, values: NDArray[np.float64]) -> None:
    """It decrypts perfectly; only this node's own ciphertexts are not in it."""
    old = trio.sum(*[trio.upload(node, 1, ALL, values[node]) for node in ALL])
    new = [trio.upload(node, 2, ALL, values[node]) for node in ALL]
    with pytest.raises(IntegrityError, match="does not hold this node's ciphertext"):
        trio.receive(old, new[0], ALL)


def test_an_old_sum_under_the_new_seeds_is_refused(trio: Trio, values: NDArray[np.float64]) -> None:
    old = trio.sum(*[trio.upload(node, 1, ALL, values[node]) for node in ALL])
    new = [trio.upload(node, 2, ALL, values[node]) for node in ALL]
    seeds = 4 + 12 + 2 + 3 * 64
    forged = [o[:0] + n[:seeds] + o[seeds:] for o, n in zip(old, trio.sum(*new), strict=True)]
    with pytest.raises(IntegrityError, match="from an integer"):
        trio.receive(forged, new[0], ALL)


def test_a_sum_without_one_member_is_refused(trio: Trio, values: NDArray[np.float64]) -> None:
    uploads = [trio.upload(node, 1, ALL, values[node]) for node in ALL]
    with pytest.raises(ProtocolError, match="sums 2 updates, not 3"):
        trio.receive(trio.sum(*uploads[:2]), uploads[0], ALL)
    with pytest.raises(IntegrityError, match="larger than clipped and noised updates can make it"):
        trio.receive(trio.sum(*uploads[:2]), uploads[0], (1, 2))


def test_two_attempts_mixed_are_refused(trio: Trio, values: NDArray[np.float64]) -> None:
    uploads = [trio.upload(node, 1, ALL, values[node]) for node in ALL]
    mixed = [uploads[0], uploads[1], trio.upload(3, 2, ALL, values[3])]
    with pytest.raises(IntegrityError, match="larger than"):
        trio.receive(trio.sum(*mixed), uploads[0], ALL)


def test_different_cohorts_for_different_nodes_are_refused(values: NDArray[np.float64]) -> None:
    """The aggregator told nodes 1 to 3 one thing and node 4 another: their pads do not cancel."""
    four = Trio(small_run(4))
    uploads = [four.upload(node, 1, (1, 2, 3, 4), values[0]) for node in (1, 2, 3)]
    uploads.append(four.upload(4, 1, (2, 3, 4), values[0]))
    with pytest.raises(IntegrityError, match="larger than"):
        four.receive(four.sum(*uploads), uploads[0], (1, 2, 3, 4))


def test_an_update_far_out_of_range_is_refused(trio: Trio, values: NDArray[np.float64]) -> None:
    huge = np.full(PARAMETERS, 0.9 * 2 ** (trio.config.bits - 1) * trio.grid.step)
    uploads = [trio.upload(1, 1, ALL, huge), *[trio.upload(node, 1, ALL, values[node]) for node in (2, 3)]]
    with pytest.raises(IntegrityError, match="larger than"):
        trio.receive(trio.sum(*uploads), uploads[0], ALL)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_coordinate_that_may_have_wrapped_is_refused(trio: Trio, values: NDArray[np.float64], sign: int) -> None:
    """A node sends so much in one coordinate that the sum comes back at the other end of its bits."""
    quiet, far = np.zeros(PARAMETERS), np.zeros(PARAMETERS)
    far[3] = sign * 2 ** (trio.config.bits - 1) * trio.grid.step
    uploads = [trio.upload(1, 1, ALL, far), *[trio.upload(node, 1, ALL, quiet) for node in (2, 3)]]
    with pytest.raises(IntegrityError, match=r"at the end of its \d+ bits and may have wrapped"):
        trio.receive(trio.sum(*uploads), uploads[0], ALL)


# -- the plan ----------------------------------------------------------------------------------------


def test_attempts_beyond_the_signed_plan_are_refused(tmp_path: Path) -> None:
    """Whatever budget is left: an aggregator cannot call attempts without end."""
    config = small_run(3, rounds=2, reserve_attempts=1, budget=Budget(delta=1e-5, ple_sigma=50.0))
    people = [f"p{i}" for i in range(40)]
    with open_ledger(tmp_path, key=Ed25519PrivateKey.generate()) as ledger:
        guard = Guard(ledger, config, people, terms())
        guard.reserve()
        for attempt in (1, 2, 3):
            guard.check(1)
            guard.spend(Binding(config.run, config.digest(), Attempt(1, attempt), ALL))
        assert guard.spends(1) == {Attempt(1, number): ALL for number in (1, 2, 3)}
        with pytest.raises(BudgetError, match="used the 3 attempts of its plan"):
            guard.check(1)
        with pytest.raises(BudgetError, match="start a new run"):
            guard.spend(Binding(config.run, config.digest(), Attempt(2, 1), ALL))
        assert len(guard.spends(1)) == 3
        assert guard.spends(2) == {}
