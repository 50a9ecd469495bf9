"""L-BFGS of several convex problems side by side, so that one pass over the data serves all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

HISTORY = 20
"""Steps that a problem remembers."""

SUFFICIENT = 1e-4
"""Share of the decrease that the slope foretells, at least (Armijo)."""

NOISE = 1e-6
"""Relative error of a loss from products in single precision; below it slopes decide."""


@dataclass
class Descent:
    """One problem: where it is, and where it looks next."""

    place: Tensor
    """Weights [C, D+1], double precision."""
    steps: int = 0
    done: bool = False
    """Whether its gradient was small enough, or no step along it helps any more."""
    converged: bool = False
    loss: float = 0.0
    slope: Tensor | None = None
    """Of the loss along `ahead`, a number on the device; none before the first look."""
    ahead: Tensor | None = None
    """The step that is tried, in weights."""
    inner_ahead: Tensor | None = None
    """The same in the stretched coordinates."""
    inner_gradient: Tensor | None = None
    length: float = 1.0
    """Share of the step that is tried."""
    moves: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Last steps and the changes of the gradient over them, in the stretched coordinates."""

    @property
    def trial(self) -> Tensor:
        """Where to look."""
        return self.place if self.ahead is None else self.place + self.length * self.ahead

    def accepts(self, loss: float, before: float, after: float) -> bool:
        """Whether the step tried is good enough; if not, a shorter one is tried next.

        Args:
            loss: There.
            before: Slope along the step where it begins, negative.
            after: Slope along it there.
        """
        if self.ahead is None:
            return True
        gain = SUFFICIENT * self.length * before
        if loss <= self.loss + gain:
            return True
        # Close to the end losses differ by less than their error (Hager and Zhang 2005, approximate Wolfe).
        if loss <= self.loss + NOISE * abs(self.loss) and after <= (2 * SUFFICIENT - 1) * before:
            return True
        curve = 2 * (loss - self.loss - self.length * before)
        least = -before * self.length / curve if 0 < curve < float("inf") else 0.0
        self.length *= min(0.5, max(0.1, least))
        self.done = self.length < 1e-6
        return False

    def moved(self, loss: float, inner_gradient: Tensor) -> None:
        """Go to the step tried, and remember it."""
        if self.ahead is not None:
            assert self.inner_ahead is not None and self.inner_gradient is not None
            self.place = self.trial
            step = self.length * self.inner_ahead
            self.moves = [*self.moves, (step, inner_gradient - self.inner_gradient)][-HISTORY:]
            self.steps += 1
        self.loss, self.inner_gradient, self.length = loss, inner_gradient, 1.0

    def direction(self) -> Tensor:
        """The next step, in the stretched coordinates (Nocedal and Wright 2006, algorithm 7.4)."""
        assert self.inner_gradient is not None
        uphill = self.inner_gradient.clone()
        shares = []
        for step, change in reversed(self.moves):
            shares.append((step * uphill).sum() / (step * change).sum())
            uphill -= shares[-1] * change
        if self.moves:
            step, change = self.moves[-1]
            uphill *= (step * change).sum() / change.square().sum()
        for (step, change), share in zip(self.moves, reversed(shares), strict=True):
            uphill += step * (share - (change * uphill).sum() / (step * change).sum())
        return -uphill


Looks = Callable[[Sequence[int], Sequence[Tensor]], tuple[Tensor, Tensor]]
"""Which problems, and where: losses [K] and gradients [K, C, D+1]."""


def descend(
    starts: Sequence[Tensor],
    looks: Looks,
    inward: Callable[[Tensor], Tensor],
    outward: Callable[[Tensor], Tensor],
    steepness: Callable[[Tensor, Sequence[int]], Tensor],
    limits: tuple[float, int],
) -> list[Descent]:
    """Minimise each problem.

    Args:
        starts: Where each begins, [C, D+1], double precision.
        looks: Losses and gradients.
        inward: Gradients, [R, D+1], to stretched coordinates in which the problems are about round.
        outward: Steps in these, [R, D+1], to steps of the weights.
        steepness: What of gradients [K, C, D+1] must be small, [K], and whose they are.
        limits: How small; and steps at most.
    """
    tolerance, most = limits
    problems = [Descent(start) for start in starts]
    for _ in range(2 * most):
        which = [i for i, problem in enumerate(problems) if not problem.done]
        if not which:
            break
        active = [problems[i] for i in which]
        losses, gradients = looks(which, [problem.trial for problem in active])
        after = [
            losses.new_zeros(()) if one.ahead is None else (one.ahead * gradient).sum()
            for one, gradient in zip(active, gradients, strict=True)
        ]
        before = [losses.new_zeros(()) if one.slope is None else one.slope for one in active]
        table = [losses, torch.stack(before), torch.stack(after), steepness(gradients, which)]
        numbers = torch.stack(table, dim=1).tolist()  # the one wait for the device
        moving = [i for i, (loss, *slopes, _) in enumerate(numbers) if active[i].accepts(loss, *slopes)]
        _move(
            [active[i] for i in moving],
            gradients[moving],
            [(numbers[i][0], numbers[i][3]) for i in moving],
            (inward, outward),
            (tolerance, most),
        )
    return problems


def _move(
    problems: Sequence[Descent],
    gradients: Tensor,
    numbers: Sequence[tuple[float, float]],
    stretch: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]],
    limits: tuple[float, int],
) -> None:
    """Let problems go where they looked, and say where each of them looks next."""
    if not problems:
        return
    inward, outward = stretch
    inner = inward(gradients.flatten(0, 1)).view_as(gradients)
    for problem, gradient, (loss, steep) in zip(problems, inner, numbers, strict=True):
        problem.moved(loss, gradient)
        problem.converged = steep <= limits[0]
        problem.done = problem.converged or problem.steps >= limits[1]
    going = [i for i, problem in enumerate(problems) if not problem.done]
    if not going:
        return
    ahead = torch.stack([problems[i].direction() for i in going])
    steps = outward(ahead.flatten(0, 1)).view_as(ahead)
    for place, i in enumerate(going):
        problems[i].inner_ahead, problems[i].ahead = ahead[place], steps[place]
        problems[i].slope = (steps[place] * gradients[i]).sum()
