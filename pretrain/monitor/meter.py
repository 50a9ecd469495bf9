"""The losses of an epoch while it runs: shown on the way, refused where not finite, averaged in the end."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.processes import mean_of_all
from pretrain.optim.schedule import rate
from pretrain.settings import Settings

LOOK_EVERY = 20
"""Steps between looks at the loss; a GPU would otherwise be waited for at each."""


@dataclass
class Meter:
    """Loss parts of every step of one epoch."""

    settings: Settings
    epoch: int
    """Counted from 0."""
    steps: int
    """In an epoch."""
    ctx: Context
    losses: list[dict[str, Tensor]] = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)

    def add(self, losses: dict[str, Tensor]) -> None:
        """Take the loss parts of one more step.

        Raises:
            FloatingPointError: The loss is no longer a number.
        """
        self.losses.append(losses)
        done = len(self.losses)
        if done % LOOK_EVERY == 0 or done == self.steps:
            loss = self._latest()
            speed = done * self.settings.batch / (time.perf_counter() - self.start)
            words = f"epoch {self.epoch + 1}, loss {loss:.3f}, {speed:,.0f} images/s"
            self.ctx.progress(words, self.epoch * self.steps + done, self.settings.epochs * self.steps)

    def means(self) -> dict[str, float]:
        """Average every loss part over steps and processes."""
        names = list(self.losses[0])
        means = [torch.stack([parts[name] for parts in self.losses]).double().mean() for name in names]
        return dict(zip(names, mean_of_all(torch.stack(means)).tolist(), strict=True))

    def _latest(self) -> float:
        """Return the latest loss; every one since the last look must be a number."""
        first = max(0, len(self.losses) - LOOK_EVERY)
        recent: list[float] = torch.stack([parts["loss"] for parts in self.losses[first:]]).tolist()
        for step, loss in enumerate(recent, start=first):
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in epoch {self.epoch + 1}, step {step + 1}, at learning rate "
                    f"{rate(self.settings, self.epoch, step, self.steps):g}; settings: "
                    f"{asdict(self.settings)}"
                )
        return recent[-1]
