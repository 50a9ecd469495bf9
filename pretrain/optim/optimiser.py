"""SGD as MoCo uses it, LARS as SimCLR does."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, Optimizer

from pretrain.optim.lars import Lars
from pretrain.settings import Settings


def optimiser(method: nn.Module, settings: Settings) -> Optimizer:
    """The optimiser over everything the method trains.

    Under LARS, batch norm and biases, which are all that has one dimension, have neither decay nor adaptation
    (google-research/simclr model_util.py:95-101 @383d414).
    """
    trained = [p for p in method.parameters() if p.requires_grad]
    rate, momentum, decay = settings.peak_lr, settings.momentum, settings.weight_decay
    if settings.optimiser == "sgd":
        return SGD(trained, rate, momentum, weight_decay=decay, fused=True)
    weights = [p for p in trained if p.ndim > 1]
    rest = [p for p in trained if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights},
        {"params": rest, "weight_decay": 0.0, "adapt": False},
    ]
    return Lars(groups, rate, momentum, decay)
