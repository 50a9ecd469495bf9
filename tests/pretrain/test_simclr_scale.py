"""A step of SimCLR against google-research/simclr's formulas: the loss's scale under LARS, and under SGD."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsa_bench.core.models.architectures import build
from hsa_bench.core.seed import forked
from pretrain.losses.nt_xent import nt_xent
from pretrain.methods.simclr import Method
from pretrain.optim.optimiser import optimiser
from pretrain.settings import Settings

SETTINGS = Settings(
    method="simclr", batch=8, lr=0.5, weight_decay=0.01, temperature=0.5, head_layers=3, head_bn="all"
)


def googles_loss(z0: Tensor, z1: Tensor, temperature: float) -> Tensor:
    """add_contrastive_loss (objective.py:34-91 @383d414), on one device."""
    count = len(z0)
    labels, masks = torch.arange(count), torch.eye(count, dtype=z0.dtype)
    logits_aa = z0 @ z0.T / temperature - masks * 1e9
    logits_bb = z1 @ z1.T / temperature - masks * 1e9
    logits_ab, logits_ba = z0 @ z1.T / temperature, z1 @ z0.T / temperature
    loss_a = F.cross_entropy(torch.cat([logits_ab, logits_aa], 1), labels)
    loss_b = F.cross_entropy(torch.cat([logits_ba, logits_bb], 1), labels)
    return loss_a + loss_b


def made(**changes: Any) -> Method:
    with forked(0):
        return Method(build("resnet18-w8-s2"), replace(SETTINGS, **changes)).double()


def views() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(8, 3, 32, 32, generator=draw).double() for _ in range(2)]


def gradients(method: Method, loss: Any) -> list[Tensor]:
    """Of everything trained, from `loss(z0, z1)` in place of the method's own."""
    like = copy.deepcopy(method)
    [z0], [z1] = like.encoder.each(views())
    loss(z0, z1, SETTINGS.temperature).backward()
    return [p.grad for p in like.parameters() if p.requires_grad and p.grad is not None]


def trained(method: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in method.parameters() if p.requires_grad]


def stepped(method: Method) -> Tensor:
    """Step once; return the loss."""
    stepper, loss = optimiser(method, method.settings), method(views())["loss"]
    loss.backward()
    stepper.step()
    return loss.detach()


def test_a_step_of_lars_is_that_of_googles_loss() -> None:
    method = made(optimiser="lars")
    before, grads = trained(method), gradients(method, googles_loss)
    stepped(method)
    small = 0
    for was, now, grad in zip(before, trained(method), grads, strict=True):
        if was.ndim == 1:  # batch norm and biases: neither decay nor adaptation
            expected, small = was - 0.5 * grad, small + 1
        else:
            grad = grad + 0.01 * was  # noqa: PLW2901
            expected = was - 0.5 * 0.001 * was.norm() / grad.norm() * grad
        torch.testing.assert_close(now, expected, rtol=1e-9, atol=1e-12)
    assert small > 20  # scales and offsets of batch norm


def test_a_step_of_sgd_is_that_of_the_papers_mean() -> None:
    method = made(optimiser="sgd")
    before, grads = trained(method), gradients(method, nt_xent)
    stepped(method)
    for was, now, grad in zip(before, trained(method), grads, strict=True):
        torch.testing.assert_close(now, was - 0.5 * (grad + 0.01 * was), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("wanted", ["sgd", "lars"])
def test_the_loss_that_is_shown_is_the_papers_mean(wanted: str) -> None:
    method = made(optimiser=wanted)
    [z0], [z1] = copy.deepcopy(method).encoder.each(views())
    assert torch.equal(stepped(method), nt_xent(z0, z1, SETTINGS.temperature).detach())
    googles, papers = (float(loss(z0, z1, 0.5).detach()) for loss in (googles_loss, nt_xent))
    assert googles == pytest.approx(2 * papers)
