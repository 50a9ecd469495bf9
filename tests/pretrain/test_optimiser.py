from __future__ import annotations

import pytest
import torch
from torch import nn

from pretrain.optim.lars import Lars
from pretrain.optim.optimiser import optimiser
from pretrain.settings import Settings


def test_lars_is_simclrs_update_and_leaves_norms_and_biases_alone() -> None:
    settings = Settings(optimiser="lars", lr=0.5, momentum=0.9, weight_decay=0.01)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double()
    weights = [p.detach().clone() for p in net.parameters()]
    buffers = [torch.zeros_like(p) for p in net.parameters()]
    stepper = optimiser(net, settings)
    for seed, rate in enumerate([0.5, 0.2, 0.1]):
        for group in stepper.param_groups:
            group["lr"] = rate
        grads = [
            torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)).double() for p in weights
        ]
        for p, grad in zip(net.parameters(), grads, strict=True):
            p.grad = grad.clone()
        stepper.step()
        for i, grad in enumerate(
            grads
        ):  # lars_optimizer.py:83-113 with its flags, momentum of steps included
            ratio = 1.0
            if weights[i].ndim > 1:
                grad = grad + 0.01 * weights[i]  # noqa: PLW2901
                ratio = 0.001 * float(weights[i].norm() / grad.norm())
            buffers[i] = 0.9 * buffers[i] + rate * ratio * grad
            weights[i] = weights[i] - buffers[i]
        for found, expected in zip(net.parameters(), weights, strict=True):
            torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-14)


def test_sgd_decays_all_that_is_trained() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    [group] = optimiser(net, Settings(lr=0.1)).param_groups
    assert len(group["params"]) == 1
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 1e-4)


@pytest.mark.parametrize("still", ["gradient", "weight"])
def test_lars_steps_a_weight_without_a_norm_as_it_is_and_leaves_one_without_gradient(still: str) -> None:
    weights = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(2, 2))]
    weights[0].grad, weights[1].grad = torch.ones(2, 2), torch.ones(3, 2)
    with torch.no_grad():
        (weights[0].grad if still == "gradient" else weights[0]).zero_()
    stepper = Lars([{"params": weights}], lr=0.5, momentum=0.9, weight_decay=0.0)

    stepper.step()

    expected = torch.ones(2, 2) if still == "gradient" else torch.full((2, 2), -0.5)
    torch.testing.assert_close(weights[0].detach(), expected)
    torch.testing.assert_close(weights[1].detach(), torch.full((3, 2), 1 - 0.5 * 0.001))
    assert torch.equal(weights[2].detach(), torch.ones(2, 2))
