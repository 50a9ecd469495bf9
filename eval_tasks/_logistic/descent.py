"""L-BFGS of several convex problems side by side, so that one pass over the data serves all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

HISTORY = 20
"""Latest steps from which L-BFGS estimates the curvature, of each problem."""

SUFFICIENT = 1e-4
"""Least decrease of the loss, as a share of what the slope predicts (Armijo)."""

NOISE = 1e-6
"""Relative error of a loss computed in single precision; smaller differences are decided by slopes."""


@dataclass
class Descent:
    """State of one problem: its weights, and the step that is tried next."""

    place: Tensor
    """Weights and bias, [C, D+1], double precision."""
    steps: int = 0
    done: bool = False
    """Whether it has stopped: converged, out of steps, or no step lowers the loss any more."""
    converged: bool = False
    """Whether its gradient is small enough."""
    loss: float = 0.0
    """Loss at `place`."""
    slope: Tensor | None = None
    """Slope of the loss along `ahead` at `place`, on the device; None before the first evaluation."""
    ahead: Tensor | None = None
    """Step that is tried, in weights; None before the first evaluation."""
    inner_ahead: Tensor | None = None
    """The same step in the stretched coordinates."""
    inner_gradient: Tensor | None = None
    """Gradient at `place` in the stretched coordinates."""
    length: float = 1.0
    """Share of the step that is tried."""
    moves: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Latest steps, each with the change of the gradient over it, in the stretched coordinates."""

    @property
    def trial(self) -> Tensor:
        """Weights at which the loss is evaluated next, [C, D+1]."""
        return self.place if self.ahead is None else self.place + self.length * self.ahead

    def accepts(self, loss: float, before: float, after: float) -> bool:
        """Tell whether the step tried lowers the loss enough; if not, shorten it for the next try.

        Args:
            loss: At its end.
            before: Slope of the loss along the step at its beginning, negative.
            after: The same at its end.
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
        """Compute the next step in the stretched coordinates (Nocedal and Wright 2006, algorithm 7.4)."""
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
"""Takes the numbers of K problems and their weights; gives losses, [K], and gradients, [K, C, D+1]."""


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
        starts: Initial weights of each, [C, D+1], double precision.
        looks: Evaluates losses and gradients.
        inward: Turns gradients, [R, D+1], into gradients by coordinates in which curvature is about even.
        outward: Turns steps in these coordinates, [R, D+1], into steps of the weights.
        steepness: Takes gradients, [K, C, D+1], and the numbers of their problems; gives what must be small
            for them to have converged, [K].
        limits: Largest steepness of a converged problem; most steps.
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
    """Take the steps that were accepted, and set the next step to try of each problem that goes on."""
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
