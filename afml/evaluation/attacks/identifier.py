"""A fresh identification network, trained after the fact by an attacker who knows all but private genotypes.

Two towers, one for released records and one for reference profiles, map people to directions; the candidate
whose direction is nearest to the record's is the guess. Unlike a network that reads record and candidate
together, each person is encoded once, so that thousands of candidates are compared by one matrix product.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from afml.evaluation.attacks.base import Case, Float64, Int8, Knowledge, reference_profiles
from afml.evaluation.attacks.scoring import exact_directions, top_one


class _Tower(nn.Module):
    """Scaled dosages [people, S] and what is called [people, S] -> directions [people, width]."""

    def __init__(self, projection: Tensor, window: int) -> None:
        super().__init__()
        width, sites = projection.shape
        self.window = window
        self.values = nn.Linear(sites, width, bias=False)
        self.called = nn.Linear(sites, width)
        self.tokens = nn.LSTM(2 * window, width // 2, batch_first=True, bidirectional=True)
        self.context = nn.Linear(width, width)
        with torch.no_grad():
            # One random projection for both towers keeps distances (Johnson, Lindenstrauss 1984): the
            # attacker starts from comparing the sites that the release visibly keeps, and learns from there.
            self.values.weight.copy_(projection)
            self.called.weight.zero_()
            self.context.weight.zero_()

    def forward(self, values: Tensor, called: Tensor) -> Tensor:
        pad = -values.shape[1] % self.window
        padded = [nn.functional.pad(channel, (0, pad)) for channel in (values, called)]
        pairs = torch.stack(padded, dim=-1)
        tokens = pairs.reshape(len(values), -1, 2 * self.window)  # [people, windows, 2 * window]
        _, (state, _) = self.tokens(tokens)  # [2, people, width / 2]
        context = self.context(torch.tanh(state.transpose(0, 1).flatten(1)))
        return cast(Tensor, self.values(values) + self.called(called) + context)


class TrainedIdentifier:
    """Line-up of `batch` candidates, cross-entropy, on mosaics of panel people released by the public model.

    A fifth of the panel is held out; the weights of the best mean reciprocal rank there are kept, so that
    training never leaves the attacker worse off than comparing shown sites.

    Args:
        steps: Training steps at most.
        batch: Line-up size: each record against its own reference profile and batch - 1 decoys.
        mosaics: Synthetic people (half of the windows from each of two panel people) beside the panel itself.
        width: Dimensions of a direction.
        window: Sites per token.
        patience: Validations, every 20 steps, without gain before training stops.
        seed: Of initialisation, mosaics and simulated genotyping errors.
    """

    name = "trained identifier"

    def __init__(
        self,
        *,
        steps: int = 200,
        batch: int = 128,
        mosaics: int = 1500,
        width: int = 128,
        window: int = 64,
        patience: int = 3,
        seed: int = 0,
    ) -> None:
        self.steps, self.batch, self.mosaics, self.width = steps, batch, mosaics, width
        self.window, self.patience, self.seed = window, patience, seed
        self._trained: tuple[Knowledge, _Tower, _Tower] | None = None

    def _people(self, panel: Int8, rng: np.random.Generator) -> Int8:
        first, second = rng.integers(0, len(panel), size=(2, self.mosaics))
        windows = np.arange(panel.shape[1]) // self.window
        choose = rng.random((self.mosaics, windows[-1] + 1)) < 0.5
        return np.concatenate([panel, np.where(choose[:, windows], panel[first], panel[second])])

    def train(self, knowledge: Knowledge) -> tuple[_Tower, _Tower]:
        """(record tower, reference tower), trained once for one release function and kept."""
        if self._trained is not None and self._trained[0] is knowledge:
            return self._trained[1], self._trained[2]
        rng = np.random.default_rng([self.seed, 0x1D])
        order = rng.permutation(len(knowledge.panel))
        held_out, kept = np.split(knowledge.complete_panel[order], [max(2, len(order) // 5)])
        people = self._people(kept, rng)
        inputs = _Inputs(knowledge)

        def profiles(of: Int8) -> tuple[Tensor, Tensor]:
            error, missing = knowledge.genotype_error, knowledge.reference_missing
            return inputs.references(
                reference_profiles(of, knowledge.frequencies, error=error, missing=missing, rng=rng)
            )

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            projection = torch.randn(self.width, people.shape[1]) / self.width**0.5
            towers = nn.ModuleList([_Tower(projection, self.window), _Tower(projection, self.window)])
            log_scale = nn.Parameter(torch.tensor(2.5))  # of the cosines
            optimiser = torch.optim.Adam([*towers.parameters(), log_scale], lr=1e-3)
            records = inputs.records(knowledge.mask(people))
            checks = inputs.records(knowledge.mask(held_out)), profiles(held_out)
            best, best_state, waited = -1.0, copy.deepcopy(towers.state_dict()), 0
            for step in range(self.steps + 1):
                if step % 20 == 0:
                    with torch.no_grad():
                        reached = _mean_reciprocal_rank(_cosines(towers, *checks))
                    waited = 0 if reached > best else waited + 1
                    if reached > best:
                        best, best_state = reached, copy.deepcopy(towers.state_dict())
                    if waited > self.patience:
                        break
                batch = rng.choice(len(people), size=min(self.batch, len(people)), replace=False)
                cosines = _cosines(towers, (records[0][batch], records[1][batch]), profiles(people[batch]))
                loss = nn.functional.cross_entropy(log_scale.exp() * cosines, torch.arange(len(batch)))
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            towers.load_state_dict(best_state)
        self._trained = (knowledge, cast(_Tower, towers[0]), cast(_Tower, towers[1]))
        return self._trained[1], self._trained[2]

    def success(self, case: Case) -> Float64:
        """float64[n]: probability that the best guess is right, per record."""
        record_tower, reference_tower = self.train(case.knowledge)
        inputs = _Inputs(case.knowledge)
        patterns, _ = case.patterns
        records = _encode(record_tower, inputs.records, patterns)

        def score(part: slice) -> NDArray[Any]:
            return np.asarray(records @ _encode(reference_tower, inputs.references, case.references[part]).T)

        return top_one(case, score)


class _Inputs:
    """Calls as the towers read them: centred, scaled, weighted by how much a site ever shows."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.means = knowledge.frequencies @ np.arange(3)
        self.scale = np.sqrt(np.maximum(self.means * (1 - self.means / 2), 1e-3))
        self.missing = knowledge.fill == "missing"
        self.shown_means = self.means if self.missing else knowledge.released_panel.mean(axis=0)
        true = knowledge.complete_panel - knowledge.complete_panel.mean(axis=0)
        shown = np.maximum(knowledge.released_panel, 0) - np.maximum(knowledge.released_panel, 0).mean(axis=0)
        norm = np.sqrt((true**2).sum(axis=0) * (shown**2).sum(axis=0))
        self.weight = np.abs((true * shown).sum(axis=0)) / np.maximum(norm, 1e-9) + 0.01

    def records(self, released: Int8) -> tuple[Tensor, Tensor]:
        """(values [n, S], shown [n, S]) of released records."""
        return self._pair(released, self.shown_means)

    def references(self, calls: Int8) -> tuple[Tensor, Tensor]:
        """(values [n, S], called [n, S]) of reference profiles."""
        return self._pair(calls, self.means)

    def _pair(self, calls: Int8, centre: Float64) -> tuple[Tensor, Tensor]:
        called = calls >= 0
        values = np.where(called, (calls - centre) / self.scale * self.weight, 0.0)
        return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(called.astype(np.float32))


def _cosines(
    towers: nn.ModuleList, records: tuple[Tensor, Tensor], profiles: tuple[Tensor, Tensor]
) -> Tensor:
    left = nn.functional.normalize(towers[0](*records), dim=1)
    right = nn.functional.normalize(towers[1](*profiles), dim=1)
    return left @ right.T  # [records, candidates]


def _mean_reciprocal_rank(cosines: Tensor) -> float:
    own = cosines.diagonal()[:, None]
    rank = (cosines > own).sum(dim=1) + 0.5 * ((cosines == own).sum(dim=1) - 1) + 1
    return float((1 / rank).mean())


def _encode(tower: _Tower, scale: Callable[[Int8], tuple[Tensor, Tensor]], calls: Int8) -> Float64:
    with torch.no_grad():
        parts = [tower(*scale(calls[k : k + 512])) for k in range(0, len(calls), 512)]
    return exact_directions(torch.cat(parts).numpy().astype(np.float64))
