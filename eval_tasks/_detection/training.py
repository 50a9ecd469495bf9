"""The training loop of a detector: seeded by iteration, resumed where it was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from eval_tasks._detection.batches import Batches
from eval_tasks._detection.engine import Detector, Target
from eval_tasks._detection.precise_norm import take_statistics
from eval_tasks._detection.resume import Training, due, load, save
from eval_tasks._detection.samples import Sample, TrainingSamples, with_objects
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.solver import rate
from hsa_bench.core.context import Context
from hsa_bench.core.data.loading import pinned
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.precision import computing_in, rounding_for
from hsa_bench.core.processes import alone, average_gradients, rank, together
from hsa_bench.core.seed import derive, forked, seed_device

LOOK_EVERY = 20
"""Iterations between reads of the loss on a GPU; each read waits until the GPU has finished its work."""


@dataclass(frozen=True)
class FineTuning:
    """What there is to train, on what, and how.

    What is drawn in iteration i depends on (seed, i) and the process alone.
    """

    detector: Detector
    samples: TrainingSamples
    task: DetectionTask
    seed: int
    ctx: Context
    look_every: int = 0
    """Iterations between reads of the loss; 0 for 1 on the CPU and `LOOK_EVERY` on other devices."""

    def run(self) -> Training:
        """Fine-tune in place, from the checkpoint in the cell's folder if there is one.

        Returns:
            The parts of each iteration's loss, mean over the processes, and the time of earlier processes.

        Raises:
            DataError: No image has an object to learn.
            FloatingPointError: The loss is NaN or infinite; the message names the iteration.
        """
        if not with_objects(self.samples.split):
            raise DataError(f"{self.samples.split.annotation_file}: no image has an object to learn")
        self.detector.to(self.ctx.device).to(
            memory_format=torch.channels_last
        ).train()  # a tenth faster on CPU
        with rounding_for(self.task.precision, self.ctx.device):  # of gradients too, beyond autocast
            training = self._iterate()
        if self.task.precise_batches and self.task.norm == "batch":
            self._take_statistics()
        return training

    def _iterate(self) -> Training:
        """Run the iterations that are left."""
        solver = self.task.solver
        iterations = solver.iterations
        optimiser = optimiser_of(self.detector, self.task)
        checkpoint = self.ctx.scratch("training")
        training = load(checkpoint, self.detector, optimiser, self.ctx.say)
        start = training.iteration
        loader = iter(self._loader("batches", iterations, start))
        for i in range(start, iterations):
            for group in optimiser.param_groups:
                group["lr"] = solver.lr * rate(i, solver)
            with together():
                batch = next(loader)
            optimiser.zero_grad()
            try:
                training.note(self._step(i, batch))
            except Exception:
                with alone():  # others may not have failed; one of the losses not looked at yet may say why
                    training.look()
                raise
            optimiser.step()
            done = due(i + 1, iterations)
            if done or i == start or (i + 1) % self._looks == 0:
                training.look()
            if done:
                save(checkpoint, training, self.detector, optimiser)
            speed = (i + 1 - start) / (time.perf_counter() - training.began)
            left = timedelta(seconds=round((iterations - i - 1) / speed))
            self.ctx.progress(f"detector: {training}, {speed:.2g} it/s, {left} left", i + 1, iterations)
        return training

    @property
    def _looks(self) -> int:
        return self.look_every or (1 if self.ctx.device == "cpu" else LOOK_EVERY)

    def _step(self, iteration: int, batch: list[Sample]) -> dict[str, Tensor]:
        """Leave the gradient of a batch, and return its loss in parts."""
        with (
            self._seeded("iteration", iteration),
            computing_in(self.task.precision, self.ctx.device),
        ):
            parts = self.detector.losses(*_on(self.ctx.device, batch))
        torch.stack(list(parts.values())).sum().backward()
        average_gradients(self.detector.parameters())
        if self.task.clip:
            nn.utils.clip_grad_norm_(self.detector.parameters(), self.task.clip)
        return parts

    def _take_statistics(self) -> None:
        loader = self._loader("precise", self.task.precise_batches, 0)
        with self._seeded("precise", 0):
            batches = self.ctx.track(loader, "detector: statistics of batch norm", len(loader))
            take_statistics(
                self.detector, lambda batch: self.detector.losses(*_on(self.ctx.device, batch)), batches
            )

    @contextmanager
    def _seeded(self, purpose: str, number: int) -> Iterator[None]:
        """Anchors and regions are drawn from the global generators, of the CPU and of the device."""
        with forked(self.seed, purpose, number, rank()):
            seed_device(torch.device(self.ctx.device), self.seed, purpose, number, rank())
            yield

    def _loader(self, purpose: str, iterations: int, start: int) -> DataLoader[list[Sample]]:
        photos, rows = self.samples.split.photos, with_objects(self.samples.split)
        wide = [photos[i].width > photos[i].height for i in rows]
        seed = derive(self.seed, purpose)
        batches = Batches(rows, wide, self.task.batch, self.task.alike, iterations, seed, start)
        samples = cast("Dataset[list[Sample]]", self.samples)  # drawn by (epoch, index), a list a batch
        return DataLoader(
            samples,
            batch_sampler=batches,
            num_workers=self.ctx.workers,
            collate_fn=list,
            pin_memory=pinned(self.ctx.device),
        )


def _on(device: str, batch: list[Sample]) -> tuple[list[Tensor], list[Target]]:
    """Copy samples to the device; from page-locked memory the copy runs beside its other work."""
    images = [image.to(device, non_blocking=True) for image, _ in batch]
    targets = [
        {name: value.to(device, non_blocking=True) for name, value in target.items()} for _, target in batch
    ]
    return images, targets


def optimiser_of(network: nn.Module, task: DetectionTask) -> torch.optim.Optimizer:
    """SGD or AdamW over all that is trained, batch norm with a weight decay of its own."""
    norms = {
        id(p) for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters(recurse=False)
    }
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in norms], "weight_decay": task.weight_decay},
        {"params": [p for p in trained if id(p) in norms], "weight_decay": task.norm_weight_decay},
    ]
    if task.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=task.solver.lr, betas=(task.momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=task.solver.lr, momentum=task.momentum, fused=True)
