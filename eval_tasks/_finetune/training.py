"""A fine-tuning that can pause, so that several can be compared before they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from eval_tasks._finetune.finetune import fine_tune
from hsa_bench.core.data.loading import Batch
from hsa_bench.core.seed import forked, generator_states, set_generator_states


@dataclass
class Training:
    """A network in training; pauses change no number."""

    network: nn.Sequential
    optimiser: torch.optim.Optimizer
    batches: Callable[[int, int], Iterator[Batch]]
    """Gives the batches of the steps from the first argument up to the second, exclusive; counted from 0."""
    factor: Callable[[int], float]
    """Factor on all learning rates, as a function of the step."""
    device: str
    random: list[Tensor]
    """States of the random generators where it paused, for layers that draw, e.g. dropout."""
    losses: list[float] = field(default_factory=list)
    """Cross-entropy of each step so far, nats."""

    def go_on(self, until: int) -> None:
        """Train until `until` steps are done in all; the network is left in eval mode.

        Raises:
            Diverged: The loss is NaN or infinite.
        """
        done = len(self.losses)
        if until <= done:
            return
        there = torch.device(self.device)
        with forked(0, "fine-tune"):
            batches = self.batches(done, until)  # a loader draws when it begins
            set_generator_states(there, self.random)
            self.losses += fine_tune(
                self.network, batches, self.optimiser, self.factor, self.device, first=done
            )
            self.random = generator_states(there)
