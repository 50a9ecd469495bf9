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

LOOK = 25
"""Steps between reads of the loss on a GPU; each read waits until the GPU has finished its work."""


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
    first: int = 0,
) -> list[float]:
    """Train in place, batch norm in train mode, and leave the network in eval mode.

    Args:
        network: On `device`.
        batches: One a step.
        sgd: Each parameter group at its initial rate, or as an earlier part of the training left it.
        factor: On all rates, of the step counted from 0.
        device: Where the network is.
        first: Step of the first batch.

    Returns:
        Cross-entropy of each step's batch before the step, nats, [steps].

    Raises:
        Diverged: The loss is NaN or infinite; the message names the first such step. The loss is read after
            every step on the CPU, and every `LOOK` steps elsewhere.
    """
    every = steps_between_looks(device)
    for group in sgd.param_groups:
        group.setdefault("initial_lr", group["lr"])
    network.train()
    losses: list[Tensor] = []
    for step, ((views,), classes, _) in enumerate(batches, start=first):
        for group in sgd.param_groups:
            group["lr"] = group["initial_lr"] * factor(step)
        # A lone picture is shown twice, as batch norm refuses a single value per channel.
        times = 2 if len(views) == 1 else 1
        x = on(device, views if times == 1 else views.repeat(times, 1, 1, 1))
        loss = cross_entropy(network(x), classes.repeat(times).to(device, non_blocking=True))
        losses.append(loss.detach())
        if len(losses) % every == 0:
            _refuse_divergence(losses, every, step, sgd)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    _refuse_divergence(losses, every, first + len(losses) - 1, sgd)
    network.eval()
    return torch.stack(losses).tolist() if losses else []


def steps_between_looks(device: str) -> int:
    """Return after how many steps the loss is read: each on the CPU, where that is free, else `LOOK`."""
    return 1 if device == "cpu" else LOOK


def _refuse_divergence(losses: list[Tensor], every: int, step: int, sgd: torch.optim.Optimizer) -> None:
    """Raise `Diverged` if one of the last `every` losses, which end with that of `step`, is not finite."""
    last = torch.stack(losses[-every:]).tolist() if losses else []
    for at, loss in enumerate(last, start=step + 1 - len(last)):
        if not math.isfinite(loss):
            rates = [group["initial_lr"] for group in sgd.param_groups]
            raise Diverged(f"the loss is {loss} at step {at}, with initial rates {rates}; lower them")


@torch.no_grad()
def logits(network: nn.Module, batches: Iterable[Batch], device: str) -> Tensor:
    """Compute the scores of a network in eval mode, in the order of the batches, [N, C]."""
    assert not network.training
    return torch.cat([network(on(device, x)) for (x,), _, _ in batches]).cpu()


def on(device: str, x: Tensor) -> Tensor:
    """Move a batch, [B, 3, H, W], to the device in channels-last layout (a third faster on CPU).

    Set here, so that rounding does not depend on which process collated the batch.
    """
    return x.to(device, memory_format=torch.channels_last)
