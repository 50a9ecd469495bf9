"""Training of a whole network, trunk and head at rates of their own, and its scores afterwards."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hsa_bench.core.data.loading import Batch
from hsa_bench.core.errors import Diverged
from hsa_bench.core.models.backbone import Backbone


class Rates(NamedTuple):
    """Initial learning rates."""

    trunk: float
    head: float

    def __str__(self) -> str:
        return f"trunk {self.trunk:g}, head {self.head:g}"


def with_head(backbone: Backbone, classes: int, init_std: float | None = None) -> nn.Sequential:
    """A copy of the trunk in float32, all of it trainable, under a new linear head.

    Args:
        backbone: Whose trunk.
        classes: Outputs of the head.
        init_std: Of the head's weights, with zero bias; None for torch's own initialisation.
    """
    trunk = copy.deepcopy(backbone.module).float().requires_grad_(True)
    head = nn.Linear(backbone.dim, classes)
    if init_std is not None:
        nn.init.normal_(head.weight, std=init_std)
        nn.init.zeros_(head.bias)
    return nn.Sequential(trunk, head)


def fine_tune(
    network: nn.Sequential,
    batches: Iterable[Batch],
    sgd: torch.optim.Optimizer,
    factor: Callable[[int], float],
    device: str,
) -> list[float]:
    """Train in place, batch norm in train mode, and leave the network in eval mode.

    Args:
        network: On `device`.
        batches: One a step.
        sgd: Each parameter group at its initial rate.
        factor: On all rates, of the step counted from 0.
        device: Where the network is.

    Returns:
        Cross-entropy of each step's batch before the step, nats, [steps].

    Raises:
        Diverged: The loss is not a number any more.
    """
    rates = [group["lr"] for group in sgd.param_groups]
    network.train()
    losses: list[float] = []
    for step, ((views,), classes, _) in enumerate(batches):
        for group, rate in zip(sgd.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step)
        # A lone picture is shown twice, as batch norm refuses a single value per channel.
        times = 2 if len(views) == 1 else 1
        x, labels = on(device, views.repeat(times, 1, 1, 1)), classes.repeat(times).to(device)
        loss = cross_entropy(network(x), labels)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise Diverged(f"the loss is {losses[-1]} at step {step}, with initial rates {rates}; lower them")
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    network.eval()
    return losses


@torch.no_grad()
def logits(network: nn.Module, batches: Iterable[Batch], device: str) -> Tensor:
    """Scores of a network in eval mode, in the order of the batches, [N, C]."""
    assert not network.training
    return torch.cat([network(on(device, x)).cpu() for (x,), _, _ in batches])


def on(device: str, x: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] as convolutions like them: channels last is a third faster on CPU.

    Set here, so that rounding does not depend on which process collated the batch.
    """
    return x.to(device, memory_format=torch.channels_last)
