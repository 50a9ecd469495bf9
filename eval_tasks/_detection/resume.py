"""A detector's training on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from hsa_bench.core.files import set_aside, whole_file
from hsa_bench.core.processes import from_first, gathered_lists, mean_of_all, rank
from hsa_bench.core.results.sound import first_line

SAVES = 20
"""A checkpoint is written after each such part of the iterations."""

Losses = dict[str, list[float]]
"""Each part of the loss by its name, of every iteration; "loss" is their sum."""


@dataclass
class Training:
    """How far training is; weights and momenta are elsewhere."""

    iteration: int = 0
    """Iterations done."""
    losses: Losses = field(default_factory=dict)
    earlier_seconds: float = 0.0
    """Of the processes before this one, as far as their checkpoints reach."""
    began: float = field(default_factory=time.perf_counter)
    """When this process took it up."""
    waiting: list[dict[str, Tensor]] = field(default_factory=list)
    """Losses of the latest iterations, still on their device; see `look`."""

    @property
    def seconds(self) -> float:
        """Spent so far, by this process and those before."""
        return self.earlier_seconds + time.perf_counter() - self.began

    def note(self, parts: Mapping[str, Tensor]) -> None:
        """Count one more iteration and keep the parts of its loss, without waiting for their device."""
        self.iteration += 1
        self.waiting.append({name: part.detach() for name, part in parts.items()})

    def look(self) -> None:
        """Wait for the losses of the iterations since the last look, and take their mean over the processes.

        Raises:
            FloatingPointError: One is NaN or infinite; the message names the iteration.
        """
        if not self.waiting:
            return
        names = list(self.waiting[0])
        own = torch.stack([torch.stack([parts[name] for name in names]) for parts in self.waiting])
        first = self.iteration - len(self.waiting)
        self.waiting.clear()
        for iteration, values in enumerate(mean_of_all(own).tolist(), start=first):
            named = dict(zip(names, values, strict=True))
            if not math.isfinite(sum(values)):
                raise FloatingPointError(
                    f"the loss is not finite in iteration {iteration}: {named}; lower lr or set clip"
                )
            for name, value in {"loss": sum(values), **named}.items():
                self.losses.setdefault(name, []).append(value)

    def __str__(self) -> str:
        last = {name.removeprefix("loss_"): values[-1] for name, values in self.losses.items()}
        total = last.pop("loss")
        return f"loss {total:.2f} ({', '.join(f'{name} {value:.2f}' for name, value in last.items())})"


def save(path: Path, training: Training, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write a checkpoint, whole or not at all; the first process does it for all."""
    if rank() == 0:
        state = {
            "iteration": training.iteration,
            "losses": training.losses,
            "seconds": training.seconds,
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        with whole_file(path) as file:
            torch.save(state, file)


def load(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, say: Callable[[str], None]
) -> Training:
    """Take up a checkpoint, if there is one; a damaged one is set aside, and training begins anew.

    Args:
        path: Of one training, and so of these settings.
        network: Gets the weights.
        optimiser: Gets its state.
        say: Called by the first process with which it is.
    """
    if not from_first(path.exists()):
        return Training()
    before = copy.deepcopy((network.state_dict(), optimiser.state_dict()))
    training, fault = Training(), ""
    try:
        training = _taken_up(path, network, optimiser)
    except Exception as error:  # a file that is cut off or written over can raise anything
        fault = first_line(error).rstrip(".")[:100]
    faults = [one for one in gathered_lists([fault]) if one]
    if not faults:
        if rank() == 0:
            say(f"goes on after iteration {training.iteration}")
        return training
    network.load_state_dict(before[0])
    optimiser.load_state_dict(before[1])
    if rank() == 0:
        aside = set_aside(path).name
        say(f"{path}: damaged ({faults[0]}); it is set aside as {aside}, and training begins anew")
    return Training()


def _taken_up(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> Training:
    state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return Training(int(state["iteration"]), dict(state["losses"]), float(state.get("seconds", 0.0)))


def due(done: int, iterations: int) -> bool:
    """Tell whether a checkpoint is due: after each twentieth of the iterations, and at the end."""
    return done == iterations or done % max(1, iterations // SAVES) == 0
