"""A fresh identification network, trained after the fact by an attacker who knows all but private genotypes.

The attacker releases panel people and mosaics of them with the public model, genotypes them a second time
with errors, and trains an LSTM on line-ups: which of the candidates is the record of? The network starts from
what is known to work, the likelihood of the record and the distance to the candidate's own masked profile, and
learns how far to trust each, window by window, and what else in a pair of windows speaks for a match.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from afml.core.threads import one_thread
from afml.evaluation.attacks.base import Case, Float64, Int8, Knowledge, reference_profiles
from afml.evaluation.attacks.lineups import Evidence, Pairs, Tokeniser, line_up
from afml.evaluation.attacks.mosaics import mosaic_people
from afml.evaluation.attacks.scoring import Linkage, Standing, blocks
from afml.evaluation.attacks.shortlist import shortlist

STARTS = ((1.0, 0.01), (1.0, 1.0), (1.0, 20.0), (0.1, 1.0))
"""(trust in likelihood, trust in distance) that training may start from."""

GRID = 2.0**-8
"""Corrections are rounded to this, so that equal candidates tie."""

LEAST_READ = 8
"""Candidates of a file that the network reads for a pattern, at least."""


class _Reader(nn.Module):
    """Tokens of a pair -> a correction to the known evidence."""

    def __init__(self, tokens: int, inputs: int, learned: int, hidden: int) -> None:
        super().__init__()
        self.of_record = nn.Parameter(torch.randn(tokens, inputs, learned) / inputs**0.5)
        self.of_candidate = nn.Parameter(self.of_record.detach().clone())
        self.lstm = nn.LSTM(2 + learned, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)
        self.trust = nn.Parameter(torch.zeros(2))  # logarithms
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def people(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """[people, tokens, inputs] -> [people, tokens, learned]."""
        return torch.einsum("nti,til->ntl", inputs, weight)

    def correction(self, tokens: Tensor, record: Tensor, candidate: Tensor) -> Tensor:
        """[pairs, tokens, 2], twice [pairs, tokens, learned] -> [pairs]."""
        states, _ = self.lstm(torch.cat([torch.asinh(tokens), record * candidate], dim=2))
        return cast(Tensor, self.head(states.mean(dim=1)).squeeze(1))


@dataclass(frozen=True, eq=False)
class _Lineups:
    pairs: Pairs
    candidates: NDArray[np.int64]
    records: Tensor
    profiles: Tensor


@dataclass(frozen=True)
class Training:
    """How long the network is trained, and on what.

    Attributes:
        steps: Training steps at most.
        batch: Line-ups a step.
        lineup: Candidates of a line-up.
        mosaics: Synthetic people beside the panel.
        patience: Validations, every 20 steps, without gain before training stops.
    """

    steps: int = 160
    batch: int = 64
    lineup: int = 32
    mosaics: int = 1200
    patience: int = 3


class TrainedIdentifier(Linkage):
    """Line-ups of panel people and mosaics of them, half of the decoys hard ones, cross-entropy.

    A fifth of the panel (and mosaics of these people) is held out; the weights of the best mean reciprocal
    rank there are kept, the start included, so that training leaves the attacker no worse off than the
    known evidence does.

    Where there are more than `pairs` pairs of pattern and candidate, the network reads each pattern's best
    candidates of each file by the known evidence alone, and the others are out.

    Args:
        training: How long, and on what.
        learned: Learned features per window.
        hidden: Width of the LSTM.
        pairs: Pairs that the network reads when it attacks, as many of each file, and `LEAST_READ` at least.
        seed: Of initialisation, mosaics and simulated genotyping errors.
    """

    name = "trained identifier"
    guess = "an LSTM trained by the attacker on line-ups of panel people released by the public model"
    baseline = False

    def __init__(
        self,
        training: Training = Training(),
        *,
        learned: int = 4,
        hidden: int = 16,
        pairs: int = 100_000,
        seed: int = 0,
    ) -> None:
        self.training, self.learned, self.hidden, self.pairs, self.seed = training, learned, hidden, pairs, seed
        self._trained: tuple[Knowledge, _Reader] | None = None

    @classmethod
    def seeded(cls, seed: int) -> Self:
        """Initialised, and taught, by this seed."""
        return cls(seed=seed)

    def train(self, knowledge: Knowledge) -> nn.Module:
        """The network for one public release function, trained once and kept."""
        if self._trained is not None and self._trained[0] is knowledge:
            return self._trained[1]
        rng = np.random.default_rng([self.seed, 0x1D])
        order = rng.permutation(len(knowledge.panel))
        apart, kept = np.split(knowledge.complete_panel[order], [max(2, len(order) // 5)])
        inputs = _Inputs(knowledge)
        lineups = self._lineups(kept, self.training.mosaics, inputs, rng)
        checks = self._lineups(apart, self.training.mosaics // 4, inputs, rng)
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            reader = _Reader(inputs.cut.count, 2 * inputs.cut.width, self.learned, self.hidden)
            self._fit(reader, lineups, checks, rng)
        self._trained = (knowledge, reader)
        return reader

    def _lineups(self, people: Int8, mosaics: int, inputs: _Inputs, rng: np.random.Generator) -> _Lineups:
        knowledge = inputs.knowledge
        window = max(1, people.shape[1] // 32)
        people = np.concatenate([people, mosaic_people(people, mosaics, rng, window=window)])
        error, missing = knowledge.genotype_error, knowledge.reference_missing
        profiles = reference_profiles(people, knowledge.frequencies, error=error, missing=missing, rng=rng)
        # A randomised release function may draw from a stream that the number and order of people fix: with one
        # more in front, the attacker's masks of profiles are other draws than those of the records.
        masked = knowledge.mask(knowledge.complete(np.concatenate([profiles[:1], profiles])))[1:]
        case = Case(
            knowledge.mask(people), profiles, np.arange(len(people)), knowledge, (masked, np.arange(len(masked)))
        )
        pairs, candidates = line_up(case, inputs.cut, self.training.lineup, rng)
        return _Lineups(pairs, candidates, inputs.records(case.released), inputs.references(profiles))

    def _fit(self, reader: _Reader, lineups: _Lineups, checks: _Lineups, rng: np.random.Generator) -> None:
        def judged() -> float:
            with torch.no_grad():
                return _mean_reciprocal_rank(_logits(reader, checks, np.arange(len(checks.candidates))))

        def start(trust: tuple[float, float]) -> float:
            reader.trust.data.copy_(torch.log(torch.tensor(trust)))
            return judged()

        start(max(STARTS, key=start))
        networks = [value for name, value in reader.named_parameters() if name != "trust"]
        groups: list[dict[str, Any]] = [{"params": networks}, {"params": [reader.trust], "lr": 0.03}]
        optimiser = torch.optim.Adam(groups, lr=5e-3)
        best, best_state, waited = judged(), copy.deepcopy(reader.state_dict()), 0
        for step in range(1, self.training.steps + 1):
            people = len(lineups.candidates)
            batch = rng.choice(people, min(self.training.batch, people), replace=False)
            logits = _logits(reader, lineups, batch)
            loss = nn.functional.cross_entropy(logits, torch.zeros(len(batch), dtype=torch.long))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step % 20 == 0:
                reached = judged()
                waited = 0 if reached > best else waited + 1
                if reached > best:
                    best, best_state = reached, copy.deepcopy(reader.state_dict())
                if waited > self.training.patience:
                    break
        reader.load_state_dict(best_state)

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        reader = cast(_Reader, self.train(case.knowledge))
        inputs = _Inputs(case.knowledge)
        patterns, _ = case.patterns
        evidence = Evidence(case)
        trust = reader.trust.detach().exp().numpy().astype(np.float64)

        def known(part: slice) -> Float64:
            likelihood, nearness = evidence.block(part)
            return np.asarray(trust[0] * likelihood + trust[1] * nearness)

        found = shortlist(case, known, max(LEAST_READ, self.pairs // (len(patterns) * case.files)))
        with one_thread(), torch.no_grad():
            records = reader.people(inputs.records(patterns), reader.of_record)
            for some in blocks(len(found.pattern), patterns.shape[1]):
                i, j = found.pattern[some], found.candidate[some]
                people, place = np.unique(j, return_inverse=True)
                candidates = reader.people(inputs.references(case.references[people]), reader.of_candidate)
                tokens = torch.from_numpy(inputs.cut.tokens(patterns, case, i, j))
                correction = reader.correction(tokens, records[i], candidates[place.reshape(-1)]).numpy()
                found.score[some] += np.round(correction.astype(np.float64) / GRID) * GRID
        return found.standing(case)


class _Inputs:
    """Calls of records and of reference profiles as the network reads them."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge, self.cut = knowledge, Tokeniser(knowledge)
        self._means = knowledge.frequencies @ np.arange(3)
        self._scale = np.sqrt(np.maximum(self._means * (1 - self._means / 2), 1e-2))

    def records(self, released: Int8) -> Tensor:
        """[n, tokens, inputs] of released records, centred on what the panel shows when released."""
        missing = self.knowledge.fill == "missing"
        centre = self._means if missing else np.maximum(self.knowledge.released_panel, 0).mean(axis=0)
        return torch.from_numpy(self.cut.inputs(released, centre, self._scale))

    def references(self, calls: Int8) -> Tensor:
        """[n, tokens, inputs] of reference profiles."""
        return torch.from_numpy(self.cut.inputs(calls, self._means, self._scale))


def _logits(reader: _Reader, lineups: _Lineups, chosen: NDArray[np.int64]) -> Tensor:
    """[line-ups, candidates]; the right candidate is the first."""
    size = lineups.candidates.shape[1]
    rows = (chosen[:, None] * size + np.arange(size)).reshape(-1)
    records = reader.people(lineups.records[chosen], reader.of_record).repeat_interleave(size, dim=0)
    people, place = np.unique(lineups.candidates[chosen], return_inverse=True)
    candidates = reader.people(lineups.profiles[people], reader.of_candidate)[place.reshape(-1)]
    evidence = torch.from_numpy(lineups.pairs.evidence[rows]).float()
    known = (evidence - evidence.mean(dim=0)) @ reader.trust.exp()
    correction = reader.correction(torch.from_numpy(lineups.pairs.tokens[rows]), records, candidates)
    return (known + correction).reshape(len(chosen), size)


def _mean_reciprocal_rank(logits: Tensor) -> float:
    own = logits[:, :1]
    rank = (logits > own).sum(dim=1) + 0.5 * ((logits == own).sum(dim=1) - 1) + 1
    return float((1 / rank).mean())
