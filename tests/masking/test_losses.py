"""The losses of the game, each against its closed or slow form."""

from __future__ import annotations

import pytest
import torch

from afml.masking.losses import Identification, adversarial_loss, identification_loss, masking_loss, utility_loss
from afml.masking.settings import GameSettings


def test_identification_loss_is_cross_entropy_on_the_first_candidate() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(5, dtype=torch.long), reduction="none")
    torch.testing.assert_close(identification_loss(logits), expected)


def test_the_loss_of_pairs_is_binary_cross_entropy_with_as_much_weight_on_the_true_pair_as_on_all_decoys() -> None:
    logits = 3 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(5, -1)
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    expected = (each * torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6])).sum(dim=1)
    torch.testing.assert_close(identification_loss(logits, "pairs"), expected)
    torch.testing.assert_close(adversarial_loss(logits, "printed", "pairs"), expected)
    assert torch.equal(adversarial_loss(logits, "margin", "pairs"), adversarial_loss(logits, "margin"))
    half = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.full((5, 4), 0.5), reduction="none")
    expected = (half * torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6])).sum(dim=1)
    torch.testing.assert_close(adversarial_loss(logits, "confusion", "pairs"), expected)
    huge = torch.tensor([[300.0, -300.0]])  # a sure identifier, right and wrong: no overflow
    torch.testing.assert_close(identification_loss(huge, "pairs"), torch.tensor([0.0]))
    torch.testing.assert_close(identification_loss(-huge, "pairs"), torch.tensor([300.0]))


def test_pairs_are_least_confusing_when_every_answer_is_one_half() -> None:
    knows_nothing, equal = torch.zeros(1, 4, requires_grad=True), torch.full((1, 4), 2.0)
    least = adversarial_loss(knows_nothing, "confusion", "pairs")
    torch.testing.assert_close(least, torch.full((1,), 2.0).log())
    (gradient,) = torch.autograd.grad(least.sum(), knows_nothing)
    assert not bool(gradient.any())
    assert float(adversarial_loss(equal, "confusion", "pairs")) > float(least.detach())  # a line-up would not mind
    torch.testing.assert_close(adversarial_loss(equal, "confusion"), adversarial_loss(torch.zeros(1, 4), "confusion"))


@pytest.mark.parametrize("form", ["lineup", "pairs"])
def test_the_margin_keeps_its_gradient_when_the_identifier_is_sure(form: Identification) -> None:
    sure = torch.tensor([[40.0, -40.0, -40.0]], requires_grad=True)
    for objective, alive in (("margin", True), ("confusion", True), ("printed", False)):
        (gradient,) = torch.autograd.grad(adversarial_loss(sure, objective, form).sum(), sure)  # type: ignore[arg-type]
        assert bool(gradient.abs().max() > 1e-3) is alive


@pytest.mark.parametrize("form", ["lineup", "pairs"])
def test_hiding_lowers_the_margin_and_the_confusion_but_raises_the_printed_loss(form: Identification) -> None:
    shown, hidden = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0]])
    for objective, better in (("margin", True), ("confusion", True), ("printed", False)):
        change = adversarial_loss(hidden, objective, form) - adversarial_loss(shown, objective, form)  # type: ignore[arg-type]
        assert bool(change < 0) is better


def test_the_masking_loss_adds_up() -> None:
    logits, mask = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    settings = GameSettings(objective="margin", adversary_weight=99.0, utility_weight=8.0, site_cost=0.1)
    loss = masking_loss(logits, mask, torch.tensor([0.5]), torch.tensor([1.0]), settings, 3.0)
    torch.testing.assert_close(loss, torch.tensor([3.0 * 2.0 + 8.0 * 0.25 + 0.1 * 2.0]))
    torch.testing.assert_close(utility_loss(torch.tensor([1.0]), torch.tensor([3.0])), torch.tensor([4.0]))
