"""Many linear classifiers trained side by side by SGD on the same features, each at its own rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


def stepped(now: int, total: int, milestones: Sequence[float], gamma: float) -> float:
    """Factor on the learning rate: gamma for every milestone that has passed.

    Args:
        now: Epochs (or steps) that are over.
        total: Epochs (or steps) there will be.
        milestones: Shares of `total` after which the rate drops.
        gamma: What it is multiplied by then.
    """
    return gamma ** sum(now >= round(share * total) for share in milestones)


@dataclass
class Heads:
    """H softmax classifiers in one tensor; what one does never reaches another.

    Each follows torch.optim.SGD's rule for its own mean cross-entropy: d = gradient + decay x weight;
    velocity = momentum x velocity + d; weight -= rate x velocity. Weight decay includes the bias, as in
    torch. A head that diverges turns to infinity and NaN alone.
    """

    weight: Tensor
    """[H, C, D+1]; the last column is the bias."""
    rates: Tensor
    """Learning rate of each head, [H]."""
    decays: Tensor
    """Weight decay of each head, [H]."""
    momentum: float
    velocity: Tensor = field(init=False)

    def __post_init__(self) -> None:
        assert len(self.weight) == len(self.rates) == len(self.decays)
        self.velocity = torch.zeros_like(self.weight)

    def logits(self, features: Tensor) -> Tensor:
        """Scores of every head, [B, H, C], for features [B, D]."""
        heads, classes, _ = self.weight.shape
        return (_with_one(features) @ self.weight.flatten(0, 1).T).view(len(features), heads, classes)

    @torch.no_grad()
    def step(self, features: Tensor, labels: Tensor, keep: Tensor, factor: float = 1.0) -> Tensor:
        """One step of every head.

        Args:
            features: [B, D].
            labels: [B].
            keep: Whether an example counts in the loss of a head, bool [B, H]. A head with none in this
                batch has gradient zero.
            factor: Of the schedule, on every rate.

        Returns:
            Mean cross-entropy of each head before the step, in nats, [H].
        """
        log_p = self.logits(features).log_softmax(dim=2)  # [B, H, C]
        share = keep / keep.sum(0).clamp(min=1)  # [B, H]
        own = labels[:, None, None].expand(-1, log_p.shape[1], 1)  # [B, H, 1]
        loss = -(log_p.gather(2, own)[..., 0] * share).sum(0)  # [H]

        # The gradient in closed form, softmax - one-hot, half the time of autograd.
        delta = log_p.exp_()
        delta.scatter_add_(2, own, torch.full_like(own, -1, dtype=delta.dtype))
        delta *= share[..., None]
        gradient = (delta.flatten(1).T @ _with_one(features)).view_as(self.weight)  # [H, C, D+1]

        gradient.addcmul_(self.weight, self.decays[:, None, None])
        self.velocity.mul_(self.momentum).add_(gradient)
        self.weight.addcmul_(self.velocity, self.rates[:, None, None], value=-factor)
        return loss

    def finite(self) -> Tensor:
        """Which heads have not diverged, bool [H]."""
        return torch.isfinite(self.weight).flatten(1).all(1)


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)  # [B, D+1]
