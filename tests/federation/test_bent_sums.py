"""Sums that the aggregator bends for one node and not for another, and old ones handed out again, are found out.

Before anybody spends on the next round, by the name of the round, and with the nodes on each side.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Reason
from afml.core.errors import ModelsDiffer
from afml.wire import federation_pb2 as wire
from crypto.public.ckks import KEYLESS_CKKS
from crypto.public.params import choose
from node.agreement import compare_final, with_sum
from tests.federation.bending import NODES, PARAMETERS, ROUNDS, History, Node, Spent, Sum, bent_run, token

TRIALS = 1000


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("history"))


class Trial:
    """All nodes after a round whose sum was another one for some of them."""

    def __init__(self, history: History, draw: random.Random) -> None:
        self.history, self.draw = history, draw
        self.round = draw.randrange(1, ROUNDS)
        self.victims: set[int] = set()

    def offset(self) -> list[Node]:
        """Everybody was in the sum; some get it moved, by as little as one step."""
        honest = self.history.whole[self.round]
        self.victims = set(self.draw.sample(NODES, self.draw.choice((1, 2, 3))))
        steps = {node: self.draw.choice((-1, 1)) * self.draw.randint(1, 9) for node in self.victims}
        return self._after({node: honest.moved(steps[node]) if node in steps else honest for node in NODES}, [honest])

    def offset_to_the_absent(self) -> list[Node]:
        """One was away, and is handed a moved sum when it is back."""
        return self._with_one_away(lambda honest, away: honest.moved(self.draw.choice((-1, 1, 5))))

    def another_rounds_sum(self) -> list[Node]:
        """One was away, and is handed the sum of an earlier round."""
        self.round = max(2, self.round)
        earlier = self.draw.randrange(1, self.round)
        return self._with_one_away(lambda honest, away: self.history.without[earlier, away].instead_of(honest))

    def another_cohorts_sum(self) -> list[Node]:
        """One was away, and is handed a sum of the same round over others."""

        def over_others(honest: Sum, away: int) -> Sum:
            other = self.draw.choice([node for node in NODES if node != away])
            return self.history.without[self.round, other].instead_of(honest)

        return self._with_one_away(over_others)

    def a_lost_attempts_sum(self) -> list[Node]:
        """One paid for an attempt that was given up, and is handed its sum; the others got a later attempt's."""
        lost, away = self.history.whole[self.round], self.draw.choice(NODES)
        self.victims, honest = {away}, self.history.without[self.round, away]
        return self._after({node: lost if node == away else honest for node in NODES}, [lost, honest])

    def _with_one_away(self, bend: Callable[[Sum, int], Sum]) -> list[Node]:
        away = self.draw.choice(NODES)
        self.victims, honest = {away}, self.history.without[self.round, away]
        return self._after({node: bend(honest, away) if node == away else honest for node in NODES}, [honest])

    def _after(self, given: dict[int, Sum], paid: Iterable[Sum]) -> list[Node]:
        nodes = [self.history.node(number, self.round, paid) for number in NODES]
        for node in nodes:
            node.applies(given[node.client.node])
        return nodes


KINDS = ("offset", "offset_to_the_absent", "another_rounds_sum", "another_cohorts_sum", "a_lost_attempts_sum")


def tokens_of(nodes: Iterable[Node], attempt: Attempt) -> list[wire.ReadyToken]:
    return [node.join(attempt) for node in nodes]


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_finds_out_before_the_next_spend(history: History, kind: str) -> None:
    found: Counter[str] = Counter()
    for number in range(TRIALS // len(KINDS)):
        trial = Trial(history, random.Random(f"{kind} {number}"))
        nodes = getattr(trial, kind)()
        following = Attempt(trial.round + 1, 1)
        tokens = tokens_of(nodes, following)
        for node in nodes:
            end = node.ends(following, tokens)
            assert isinstance(end, ModelsDiffer), f"trial {number}: node {node.client.node} would have spent"
            assert f"different models after round {trial.round}: " in str(end)
            if len(trial.victims) == 1:
                (victim,) = trial.victims
                sides = [str([victim]), str([one for one in NODES if one != victim])]
                assert all(side in str(end) for side in sides)
            assert node.client.left == [Reason.MODELS_DIFFER]
        found[kind] += 1
    assert found[kind] == TRIALS // len(KINDS)


def test_a_node_that_is_kept_out_of_the_next_cohort_finds_out_from_its_sum(history: History) -> None:
    """The aggregator shows nobody the token that differs: the others' tokens, beside the next sum, tell the victim."""
    for number in range(50):
        trial = Trial(history, random.Random(f"kept out {number}"))
        trial.round = min(trial.round, ROUNDS - 2)
        nodes = trial.offset_to_the_absent()
        (victim,) = [node for node in nodes if node.client.node in trial.victims]
        following = Attempt(trial.round + 1, 1)
        tokens = tokens_of([node for node in nodes if node is not victim], following)
        victim.join(following)
        published = Sum(following, tuple(tokens), history.whole[trial.round].total)
        with pytest.raises(ModelsDiffer, match=f"different models after round {trial.round}: "):
            victim.applies(published)
        assert victim.party.applied == trial.round, "nothing was applied on top"
        for node in nodes:
            if node is not victim:
                assert isinstance(node.ends(following, tokens), Spent), "the others hold one model and go on"


def test_nobody_is_held_up_where_all_is_well(history: History) -> None:
    for round_number in range(1, ROUNDS):
        for away in (None, *NODES):
            honest = history.without[round_number, away] if away else history.whole[round_number]
            nodes = [history.node(number, round_number, [honest]) for number in NODES]
            for node in nodes:
                node.applies(honest)
            following = Attempt(round_number + 1, 1)
            tokens = tokens_of(nodes, following)
            assert len({one.model for one in tokens}) == 1
            for node in nodes:
                assert isinstance(node.ends(following, tokens), Spent)
            assert all(node.client.left == [] for node in nodes)


def test_a_token_whose_model_was_changed_on_the_way_is_nobodys(history: History) -> None:
    nodes = [history.node(number, 1) for number in NODES]
    tokens = tokens_of(nodes, Attempt(1, 1))
    tokens[2].model = bytes(32)
    assert "ready token of node 3: signature does not match" in str(nodes[0].ends(Attempt(1, 1), tokens))


def test_models_that_differ_from_the_start_are_named_as_such(history: History) -> None:
    nodes = [history.node(number, 1) for number in NODES]
    tokens = tokens_of(nodes, Attempt(1, 1))
    tokens[2] = token(bent_run(), 3, Attempt(1, 1), b"x" * 32)
    assert "nodes hold different models before round 1: [1, 2, 4] / [3]" in str(nodes[0].ends(Attempt(1, 1), tokens))


class Letters:
    """The letters of one node: what it sends is kept, what comes is said beforehand."""

    def __init__(self, come: dict[int, bytes]) -> None:
        self.come, self.sent = come, dict[int, bytes]()

    def send_sealed(self, recipients: Sequence[int], subject: str, body: bytes, *, lasting: bool) -> None:
        self.sent |= dict.fromkeys(recipients, body)

    def receive_sealed(self, senders: Sequence[int], subject: str, *, wait_s: float, lasting: bool) -> dict[int, bytes]:
        return {sender: self.come[sender] for sender in senders if sender in self.come}


def test_the_last_models_are_compared_with_whoever_answers() -> None:
    def compare(come: dict[int, bytes]) -> list[int]:
        letters: Any = Letters(come)
        silent = compare_final(letters, 9, 1, b"same", [2, 3])
        assert letters.sent == {2: b"same", 3: b"same"}
        return silent

    assert compare({2: b"same", 3: b"same"}) == []
    assert compare({3: b"same"}) == [2]
    with pytest.raises(ModelsDiffer, match=r"different models after round 9: \[1\] / \[3\]"):
        compare({3: b"other"})
    with pytest.raises(ModelsDiffer, match=r"different models after round 9: \[1, 2\] / \[3\]"):
        compare({2: b"same", 3: b"other"})


def test_a_digest_holds_every_coordinate_of_every_sum_and_whose_it_is(history: History) -> None:
    party = history.node(1, 1).party
    total = np.arange(PARAMETERS)
    binding = party.bind(Attempt(1, 1), dict.fromkeys((1, 2, 3), b"1"))
    digests = {with_sum(bytes(32), binding, total)}
    for place in range(PARAMETERS):
        moved = total.copy()
        moved[place] += 1
        digests.add(with_sum(bytes(32), binding, moved))
    digests.add(with_sum(b"1" * 32, binding, total))
    for at, cohort, lease in ((2, (1, 2, 3), b"1"), (1, (1, 2, 4), b"1"), (1, (1, 2, 3), b"2")):
        digests.add(with_sum(bytes(32), party.bind(Attempt(1, at), dict.fromkeys(cohort, lease)), total))
    assert len(digests) == 1 + PARAMETERS + 4


def test_it_costs_a_node_of_five_less_than_a_thousandth_of_a_rounds_bytes() -> None:
    """A million parameters. What it costs in time is two digests of them; a report to the aggregator is saved."""
    large = choose(len(NODES) + 1, 16, 1_000_000)
    update = large.chunks(1_000_000) * KEYLESS_CKKS.upload_size(large)
    bare = token(bent_run(), 1, Attempt(1, 1), b"")
    held = token(bent_run(), 1, Attempt(1, 1), bytes(32))
    tokens = 1 + 3 * 5  # its own; everybody's when the attempt opens, when it is summed, and beside the sum
    assert tokens * (held.ByteSize() - bare.ByteSize()) < 0.001 * update
