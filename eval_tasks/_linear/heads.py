"""Many linear classifiers trained side by side by SGD on the same features, each at its own rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

EPSILON = 1e-8
"""In LARC's ratio, as in apex."""


@dataclass
class Heads:
    """H softmax classifiers side by side; what one does never reaches another.

    Each follows torch.optim.SGD's rule for its own mean cross-entropy: d = gradient + decay x parameter;
    velocity = momentum x velocity + d; parameter -= rate x velocity, or with Nesterov's momentum
    rate x (d + momentum x velocity). Weight decay includes the bias, as in torch. With a trust
    coefficient, d is first scaled, weight and bias each by its own ratio of norms: LARC, which SimSiam's code
    calls LARS (NVIDIA/apex apex/parallel/LARC.py, clip=False). A head that diverges turns to infinity
    and NaN alone.
    """

    weight: Tensor
    """[H, C, D]."""
    bias: Tensor
    """[H, C]."""
    rates: Tensor
    """Learning rate of each head, [H]."""
    decays: Tensor
    """Weight decay of each head, [H]."""
    momentum: float
    nesterov: bool = False
    trust: float = 0.0
    """LARC's trust coefficient; 0 for plain SGD."""
    velocities: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        assert len(self.weight) == len(self.bias) == len(self.rates) == len(self.decays)
        self.velocities = [torch.zeros_like(p) for p in (self.weight, self.bias)]
        self._decayed = bool((self.decays != 0).any())

    def logits(self, features: Tensor, heads: slice = slice(None)) -> Tensor:
        """Scores of some heads, [B, H, C], for features [B, D]."""
        weight, bias = self.weight[heads], self.bias[heads]
        flat = torch.addmm(bias.flatten(), features, weight.flatten(0, 1).T)
        return flat.view(len(features), *bias.shape)

    def logits_in_parts(self, features: Tensor, heads: slice = slice(None)) -> Iterator[tuple[slice, Tensor]]:
        """As `logits`, a bounded number of rows at a time: which rows, and their scores."""
        rows = max(1, 2**24 // self.bias[heads].numel())
        for low in range(0, len(features), rows):
            part = slice(low, low + rows)
            yield part, self.logits(features[part].to(self.weight.device, torch.float32), heads)

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
        # Images run along the last axis, where every operation below is vectorised: [H, C, B].
        flat = torch.addmm(self.bias.view(-1, 1), self.weight.flatten(0, 1), features.T)
        delta = flat.view(*self.bias.shape, len(features))
        share = (keep / keep.sum(0).clamp(min=1)).T  # [H, B]
        own = labels.expand(len(delta), 1, -1)  # [H, 1, B]
        delta -= delta.amax(1, keepdim=True)
        right = delta.gather(1, own)[:, 0]  # [H, B]
        total = delta.exp_().sum(1)  # [H, B]
        loss = ((total.log() - right) * share).sum(1)  # [H]

        # The gradient in closed form, softmax - one-hot, half the time of autograd.
        delta *= (share / total)[:, None]
        delta.scatter_add_(1, own, -share[:, None])
        self._move(0, self.weight, (delta.flatten(0, 1) @ features).view_as(self.weight), factor)
        self._move(1, self.bias, delta.sum(2), factor)
        return loss

    def _move(self, which: int, parameter: Tensor, gradient: Tensor, factor: float) -> None:
        each = (-1, *[1] * (parameter.ndim - 1))  # one value a head
        if self.trust:
            gradient *= self._ratio(parameter, gradient).view(each)
        elif self._decayed:
            gradient.addcmul_(parameter, self.decays.view(each))
        velocity = self.velocities[which].mul_(self.momentum).add_(gradient)
        moved = gradient.add_(velocity, alpha=self.momentum) if self.nesterov else velocity
        parameter.addcmul_(moved, self.rates.view(each), value=-factor)

    def _ratio(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        """LARC's factor on each head's gradient, after the decay has been added to it, [H]."""
        size, slope = (x.flatten(1).norm(dim=1) for x in (parameter, gradient))  # [H]
        moves = (size != 0) & (slope != 0)
        decays = torch.where(moves, self.decays, 0)
        gradient.addcmul_(parameter, decays.view(-1, *[1] * (parameter.ndim - 1)))
        return torch.where(moves, self.trust * size / (slope + size * self.decays + EPSILON), 1.0)

    def finite(self) -> Tensor:
        """Which heads have not diverged, bool [H]."""
        return torch.isfinite(self.weight).flatten(1).all(1) & torch.isfinite(self.bias).all(1)
