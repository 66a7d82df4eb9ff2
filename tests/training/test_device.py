"""Where and in which precision tensors are computed."""

from __future__ import annotations

import pytest
import torch

from afml.training.device import autocast, device

CPU = torch.device("cpu")


def test_without_autocast_nothing_changes() -> None:
    with autocast(CPU, False):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
    with autocast(CPU, True):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16


def test_each_process_takes_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device() == torch.device("cuda", 0)
    taken = []
    for local in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(local))
        taken.append(device().index)
    assert taken == [0, 1, 0]
