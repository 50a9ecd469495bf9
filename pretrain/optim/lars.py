"""LARS as SimCLR's code has it (You et al. 2017, arXiv:1708.03888)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

TRUST = 0.001
"""EETA_DEFAULT in google-research/simclr lars_optimizer.py @383d414."""


class Lars(Optimizer):
    """Momentum whose step for each weight is in proportion to that weight's norm.

    For a weight w with gradient g, rate r, momentum m and decay d (lars_optimizer.py:83-113 @383d414):

        g <- g + d w
        v <- m v + r (0.001 |w| / |g|) g
        w <- w - v

    Groups with `adapt=False` have the factor 1 in place of 0.001 |w| / |g|. timm's LARS is the paper's
    instead: it divides by |g| + d |w|, and its momentum carries gradients, so that a changing rate acts
    on old gradients too.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, momentum: float, weight_decay: float
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "adapt": True}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no loss
        """One update; a closure is not supported."""
        assert closure is None
        for group in self.param_groups:
            if weights := [weight for weight in group["params"] if weight.grad is not None]:
                self._update(weights, group)

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Step all weights of a group, on a GPU together and without waiting for it."""
        gradients: tuple[Tensor, ...] | list[Tensor] = [
            weight.grad for weight in weights if weight.grad is not None
        ]
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
        velocities = [self._velocity(weight) for weight in weights]
        torch._foreach_mul_(velocities, group["momentum"])
        if group["adapt"]:
            theirs, slopes = (torch.stack(torch._foreach_norm(every)) for every in (weights, gradients))
            ratio = TRUST * theirs / slopes  # of each weight
            # A number in place of ones_like would be copied to the GPU, which waits.
            ratio = torch.where(ratio.isfinite() & (ratio > 0), ratio, torch.ones_like(ratio))
            gradients = torch._foreach_mul(gradients, ratio.unbind())
        torch._foreach_add_(velocities, gradients, alpha=group["lr"])
        torch._foreach_sub_(weights, velocities)

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity: Tensor = state["velocity"]
        return velocity
