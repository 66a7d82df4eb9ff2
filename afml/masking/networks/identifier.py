"""The Identification Network: a line-up. Which of K profiles does a masked record belong to?

Each (record, candidate) pair becomes a sequence of window tokens that one LSTM reads; the same weights
score every pair, so no parameter belongs to a person and the order of the candidates carries nothing.
"""

from __future__ import annotations

import torch
from opacus.layers import DPLSTM
from torch import nn

from afml.masking.networks.layers import SiteAffine

#: Inputs per site of a pair: record, candidate, their agreement, the record's alleles the candidate lacks.
PAIR_CHANNELS = 4


class IdentificationNetwork(nn.Module):
    """Line-up logits by an LSTM over window tokens (Opacus' DPLSTM, which gives per-person gradients).

    Args:
        sites: Number of sites.
        window: Sites per token; the last window is padded.
        hidden: Width of tokens and of the LSTM.
    """

    def __init__(self, sites: int, *, window: int = 64, hidden: int = 32) -> None:
        super().__init__()
        self.sites, self.window = sites, min(window, sites)
        self.tokens = -(-sites // self.window)
        self.evidence = SiteAffine(sites, weight=1.0, bias=0.0)
        self.embed = nn.Linear(PAIR_CHANNELS * self.window, hidden)
        self.lstm = DPLSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden + self.tokens, 1)

    def forward(
        self, record: torch.Tensor, candidates: torch.Tensor, candidates_standard: torch.Tensor
    ) -> torch.Tensor:
        """Logits of every candidate.

        Args:
            record: Masked dosages `x * m`, masked = 0, [people, sites].
            candidates: Dosages of the candidates' profiles, missing = panel mean, [people, K, sites].
            candidates_standard: The same, standardised by the panel, [people, K, sites].

        Returns:
            [people, K]. Inside, every (person, candidate) pair is one row, person-major: a person's gradient
            is the sum over its K rows.
        """
        people, lineup, sites = candidates.shape
        rows = people * lineup
        shown = record.unsqueeze(1).expand(-1, lineup, -1).reshape(rows, sites)
        dosage, standard = candidates.reshape(rows, sites), candidates_standard.reshape(rows, sites)
        agreement = self.evidence(shown * standard)
        lacking = shown * (1.0 - 0.5 * dosage)
        pair = torch.stack([shown, standard, agreement, lacking], dim=1)  # [rows, PAIR_CHANNELS, sites]
        pad = self.tokens * self.window - sites
        if pad:
            pair = nn.functional.pad(pair, (0, pad))
        pair = pair.reshape(rows, PAIR_CHANNELS, self.tokens, self.window)
        summed = pair[:, 2].sum(dim=2)  # [rows, tokens]
        tokens = pair.transpose(1, 2).reshape(rows, self.tokens, PAIR_CHANNELS * self.window)
        states, _ = self.lstm(torch.tanh(self.embed(tokens)))  # [rows, tokens, hidden]
        with torch.autocast(summed.device.type, enabled=False):  # sums over many sites: bfloat16 rounds them away
            logits = self.head(torch.cat([states.mean(dim=1).to(summed.dtype), summed], dim=1))
        return logits.reshape(people, lineup)
