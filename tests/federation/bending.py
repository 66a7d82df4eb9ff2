"""A small consortium whose aggregator hands every node what it likes: the nodes' own checks, real ciphertexts, no wire.

The honest sums of every round are made once. A trial puts nodes where they stood before a round, gives each of them
some sum, and asks who goes on to spend.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import LEASE_BYTES
from afml.consortium.reasons import Reason
from afml.consortium.run import Phase, RunConfig
from afml.consortium.scheme import run_params
from afml.core.errors import AfmlError
from afml.privacy.noise import node_std, round_grid
from afml.wire import federation_pb2 as wire
from benchmarks.supplied import SuppliedTask, supplied_trainer
from crypto.ckks.backend import CKKS
from crypto.public.blind import add_payloads
from crypto.public.params import CodecParams
from crypto.public.payload import read_total, read_upload, write_total
from crypto.public.random import SeededRandom
from crypto.public.signing import sign
from crypto.secret.backend import Codec
from crypto.secret.pads import Pads
from node.catchup import CatchUp
from node.contribution import Contribution
from node.keys import RunKeys
from node.party import Party
from node.patience import Patience
from tests.aggregator.machine import small_run
from tests.crypto import parties

NODES = (1, 2, 3, 4)
ROUNDS, PARAMETERS = 4, 200
ROSTER, KEYS = parties.roster(len(NODES))
LEASES = {node: bytes([node]) * LEASE_BYTES for node in NODES}


class Spent(Exception):
    """A node would have spent now."""


@functools.cache
def bent_run(verified: bool = False) -> RunConfig:
    phase = Phase(name="risk", rounds=ROUNDS, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                  learning_rate=0.5, parameters=PARAMETERS)  # fmt: skip
    return small_run(len(NODES), phases=(phase,), sites=PARAMETERS, verified_sums=verified)


@functools.cache
def params() -> CodecParams:
    """Of either run: what is verified fits the same ciphertext."""
    assert run_params(bent_run()) == run_params(bent_run(verified=True))
    return run_params(bent_run())


@dataclass(frozen=True)
class Where:
    """Where a node stands: rounds applied, digest of their sums, state of its task."""

    applied: int = 0
    sums: bytes = bytes(32)
    state: bytes = b""


@dataclass(frozen=True)
class Sum:
    """What an aggregator may hand out as the sum of a round: an attempt, those who signed for it, a ciphertext."""

    attempt: Attempt
    tokens: tuple[wire.ReadyToken, ...]
    total: bytes

    @property
    def cohort(self) -> tuple[int, ...]:
        return tuple(token.node for token in self.tokens)

    def moved(self, steps: int) -> Sum:
        """With a constant added to every coordinate of its real words, which takes no key."""
        return self.with_body(lambda body: body + np.uint64(steps * int(params().scale) % params().prime))

    def without(self, upload: bytes) -> Sum:
        """With an update taken out, and claimed in."""
        return self.with_body(lambda body: body + np.uint64(params().prime) - read_upload(params(), upload).body)

    def with_body(self, bent: Callable[[NDArray[np.uint64]], NDArray[np.uint64]]) -> Sum:
        """With other coefficients under its seeds."""
        ciphertext = read_total(params(), self.total)
        body = bent(ciphertext.body) % np.uint64(params().prime)
        return replace(self, total=write_total(params(), ciphertext.seeds, body))

    def instead_of(self, other: Sum) -> Sum:
        """The same ciphertext, passed off as the sum of another attempt."""
        return replace(other, total=self.total)


class _Letters(dict[str, bytes]):
    """Letters that were sent."""

    letter, keep_letter = dict.get, dict.__setitem__


class _Journal:
    """Remembers in memory where a node stands."""

    def __init__(self, where: Where, outbox: Path) -> None:
        self.where, self.outbox, self.letters = where, outbox, _Letters()

    def state(self) -> tuple[int, bytes, bytes] | None:
        return (self.where.applied, self.where.sums, self.where.state) if self.where.applied else None

    def keep_state(self, applied: int, sums: bytes, state: bytes) -> None:
        self.where = Where(applied, sums, state)


@dataclass
class _Client:
    """Takes down what a node says, and hands it the sums that a test chose."""

    patience = Patience("aggregator:7443")
    node: int
    config: RunConfig
    sums: Mapping[int, Sum] = field(default_factory=dict)
    tokens: list[wire.ReadyToken] = field(default_factory=list)
    left: list[Reason] = field(default_factory=list)
    refused: list[wire.LeaveNotice] = field(default_factory=list)

    def ready(self, attempt: Attempt, model: bytes, lease: bytes) -> None:
        self.tokens.append(token(self.config, self.node, attempt, model))

    def fetch(self, round_number: int) -> tuple[wire.AggregateHeader, Iterator[bytes]]:
        found = self.sums[round_number]
        header = wire.AggregateHeader(round=round_number, attempt=found.attempt.number, cohort=found.tokens)
        return header, iter([found.total])

    def leave(self, reason: Reason, refusing: wire.LeaveNotice | None = None) -> None:
        self.left.append(reason)
        self.refused += [refusing] if refusing is not None else []

    def decline(self, attempt: Attempt) -> None:
        pass


def token(config: RunConfig, node: int, attempt: Attempt, model: bytes) -> wire.ReadyToken:
    signed = messages.ready(config.run, config.digest(), attempt, node, model, LEASES[node])
    return wire.ReadyToken(run=config.run, config_digest=config.digest(), round=attempt.round, attempt=attempt.number,
                           node=node, model=model, lease=LEASES[node], signature=sign(KEYS[node], signed))  # fmt: skip


class _Guard:
    """A ledger of attempts; spending on anything new ends the trial."""

    def __init__(self, paid: Iterable[Binding]) -> None:
        self._paid = {binding.attempt: binding.cohort for binding in paid}

    def check(self, round_number: int) -> None:
        pass

    def spends(self, round_number: int) -> dict[Attempt, tuple[int, ...]]:
        return {attempt: cohort for attempt, cohort in self._paid.items() if attempt.round == round_number}

    def receipt(self, binding: Binding) -> None:
        return None

    def spend(self, binding: Binding) -> Any:
        raise Spent


class _Outbox:
    def __init__(self, sent: Mapping[Binding, bytes]) -> None:
        self._sent = sent

    def find(self, binding: Binding) -> Any:
        if binding not in self._sent:
            return None
        return SimpleNamespace(chunks=lambda: [(0, self._sent[binding])])

    def passed(self, attempt: Attempt) -> None:
        pass


@functools.cache
def _shared_key() -> bytes:
    return CKKS.make_key(params())


@functools.cache
def _codec(node: int, verified: bool) -> Codec:
    """A node's codec, loaded once for all trials."""
    pads = Pads(node, bent_run(verified).digest(), parties.secrets(len(NODES))[node], LEASES[node])
    return CKKS.codec(params(), _shared_key(), pads)


def _keys(node: int) -> RunKeys:
    """Of the run, by X25519 alone."""
    secrets = parties.secrets(len(NODES))[node]
    return RunKeys(_shared_key(), SimpleNamespace(peers=tuple(sorted(secrets)), secrets=secrets))  # type: ignore[arg-type]


class Node:
    """One honest node: the product's own catching up and contributing over a client that a test controls."""

    def __init__(
        self, number: int, where: Where, sent: Mapping[Binding, bytes], outbox: Path, verified: bool = False
    ) -> None:
        config = bent_run(verified)
        trainer = supplied_trainer(config, number, node_std(config, config.phases[0]))
        self.client, self.journal = _Client(number, config), _Journal(where, outbox)
        kit: Any = SimpleNamespace(node=number, roster=ROSTER, signing_key=KEYS[number], sealing_key=None)
        stubs: tuple[Any, ...] = (_Guard(sent), self.journal, self.client)
        self.party = Party(kit, config, trainer, *stubs, CKKS, lease=LEASES[number])
        self.party.__dict__.update(keys=_keys(number), codec=_codec(number, verified))
        self.party.outbox = _Outbox(sent)  # type: ignore[assignment]
        met: Any = SimpleNamespace(met=set(NODES), meet=lambda *_, **__: None)  # ledgers are not what is tried here
        self.contribution = Contribution(self.party, met)
        self.contribution._confirmed = set(NODES)  # the tags of the pads are not what is tried here
        self.catchup = CatchUp(self.party, met, self.contribution.begin)

    def encode(self, binding: Binding) -> bytes:
        """Its ciphertext of an attempt."""
        party = self.party
        values = party.trainer.update(party.kit.node, binding.round).values * (1 + binding.round / 7)
        rounding = SeededRandom(party.kit.node, *binding.attempt)
        fields = round_grid(party.run, binding.round).quantise(values, rounding)
        (payload,) = party.codec.encode(party.check.attach(fields, binding), binding=binding)
        return payload

    def join(self, attempt: Attempt) -> wire.ReadyToken:
        self.contribution.join(attempt)
        return self.client.tokens[-1]

    def applies(self, *sums: Sum) -> None:
        self.client.sums = {one.attempt.round: one for one in sums}
        self.catchup.up_to(max(self.client.sums))

    def ends(self, attempt: Attempt, tokens: Sequence[wire.ReadyToken]) -> Spent | AfmlError:
        """What ends its part in an attempt that was opened with these tokens."""
        try:
            self.contribution.contribute(attempt, list(tokens))
        except (Spent, AfmlError) as end:
            return end
        raise AssertionError("it gave nothing and refused nothing")


class History:
    """Every node before every round of a run in which all is well, and the sums that could be made of each round.

    Attributes:
        before: round -> where every node stands before it.
        whole: round -> the sum over all nodes, its first attempt.
        without: (round, node) -> the sum of the second attempt, over the others.
        sent: node -> its ciphertext of every attempt.
    """

    def __init__(self, folder: Path, verified: bool = False) -> None:
        config = bent_run(verified)
        self._folder, self._verified = folder, verified
        self.before: dict[int, Where] = {}
        self.whole: dict[int, Sum] = {}
        self.without: dict[tuple[int, int], Sum] = {}
        self.sent: dict[int, dict[Binding, bytes]] = {node: {} for node in NODES}
        where = Where(0, state=SuppliedTask(config).state())
        for round_number in range(1, ROUNDS):
            self.before[round_number] = where
            self.whole[round_number] = self._sum(Attempt(round_number, 1), NODES)
            for away in NODES:
                others = tuple(node for node in NODES if node != away)
                self.without[round_number, away] = self._sum(Attempt(round_number, 2), others)
            one = self.node(1, round_number, paid=[self.whole[round_number]])
            one.applies(self.whole[round_number])
            where = one.journal.where

    def node(self, number: int, round_number: int, paid: Iterable[Sum] = ()) -> Node:
        """A node as it stands before a round; it has paid for these attempts."""
        attempts = {(one.attempt, one.cohort) for one in paid if number in one.cohort}
        sent = {b: payload for b, payload in self.sent[number].items() if (b.attempt, b.cohort) in attempts}
        return Node(number, self.before[round_number], sent, self._folder / str(number), self._verified)

    def _sum(self, attempt: Attempt, cohort: tuple[int, ...]) -> Sum:
        config = bent_run(self._verified)
        binding = Binding(config.run, config.digest(), attempt, cohort, tuple(LEASES[node] for node in cohort))
        tokens = []
        for number in cohort:
            node = self.node(number, attempt.round)
            self.sent[number][binding] = node.encode(binding)
            tokens.append(node.join(attempt))
        total = add_payloads(params(), [self.sent[number][binding] for number in cohort])
        return Sum(attempt, tuple(tokens), total)
