"""The training loop: epochs, mining, steps, watching, and going on after a stop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView, View, centre_view
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.processes import average_statistics, gathered_arrays, mean_of_all, rank, world
from hsa_bench.core.seed import forked
from pretrain.contrastive import Contrastive, method_class
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.batches import ContrastiveViews, OwnParts, batches
from pretrain.embed import embed
from pretrain.launch import launched
from pretrain.monitor.described import RATE
from pretrain.monitor.flops import forward_flops
from pretrain.monitor.scalars import Scalars
from pretrain.monitor.watch import collapse, look
from pretrain.optim.optimiser import optimiser
from pretrain.optim.schedule import rate
from pretrain.positives import nearest_others, purity
from pretrain.preflight import check, warnings
from pretrain.progress import Progress, Resumable, check_writable
from pretrain.settings import Settings

LOOK_EVERY = 20
"""Steps between looks at the loss, which a GPU would otherwise be waited for at each."""


def _ignore(text: str) -> None:
    """Nobody listens."""


@dataclass
class Training:
    """A method in training on one image set, unlabelled but for watching."""

    settings: Settings
    backbone: Backbone
    images: ImageSet
    view: View
    """Crops have its size; features for mining and watching are taken through it."""
    seed: int
    ctx: Context
    scalars: Path | None = None
    """Folder for TensorBoard, if wanted."""
    say: Callable[[str], None] = _ignore
    """Told what a person should know: a line for each epoch, and warnings."""
    counting: bool = True
    """Count FLOPs, in the first step of each epoch: a warm-up's steps cost less than later ones."""
    method: Contrastive = field(init=False)
    progress: Progress = field(init=False, default_factory=Progress)
    fabric: Fabric = field(init=False)
    earlier_seconds: float = field(init=False, default=0.0)
    """Of processes before this one, whose resume file it went on from."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.fabric = launched(self.ctx.device, settings.precision)
        self.ctx = replace(self.ctx, device=str(self.fabric.device))
        check(settings, len(self.images), self.view.size, world())
        if self.backbone.trunk is None:
            raise PretrainingError(f"arch {self.backbone.arch}: has no stages to train")
        build = method_class(settings.method)
        with forked(self.seed, "method"):
            self.method = build(copy.deepcopy(self.backbone.module), settings)
        self.method.train().to(memory_format=torch.channels_last)
        self.stepping, self.optimiser = self.fabric.setup(self.method, optimiser(self.method, settings))
        self.steps = len(self.images) // settings.batch

    @cached_property
    def resumable(self) -> Resumable:
        """What goes into the resume file."""
        identity = {
            "settings": asdict(self.settings),
            "weights": self.backbone.weights,
            "data": self.images.fingerprint(),
            "view": asdict(self.view),
            "seed": self.seed,
        }
        return Resumable(self.method, self.optimiser, identity)

    def run(self, resume: Path) -> None:
        """Train to the end, from where `resume` stands if it exists.

        The caller removes that file once the result is safe.

        Raises:
            PretrainingError: The resume file belongs to another training, or cannot be written.
            FloatingPointError: The loss is no longer a number.
        """
        _ = self.resumable  # the data's fingerprint takes a while; now, not while other processes wait
        if rank() == 0:
            check_writable(resume)
        if resume.exists():
            self.progress = self.resumable.load(resume, self.ctx.device)
            self.earlier_seconds = self.progress.seconds
        if len({*gathered_arrays(np.array([self.progress.epoch])).tolist()}) > 1:
            raise PretrainingError(f"{resume}: not all processes see this file; put it where they share it")
        for text in warnings(self.settings, len(self.images)):
            self._warn(text)
        with Scalars(self.scalars if rank() == 0 else None, self.progress.curves) as scalars:
            for epochs in self._periods():
                start = time.perf_counter()
                self._mine(epochs.start)
                loader = self._batches(epochs)
                for epoch in epochs:
                    self._watch(epoch, self._epoch(epoch, loader))
                    self.progress.epoch = epoch + 1
                    self.progress.flops += self.steps * self.progress.step_flops
                    self.progress.views += self.method.views
                    seconds = time.perf_counter() - start
                    self.progress.seconds += seconds
                    start = time.perf_counter()
                    scalars.write(self.progress.curves, epoch + 1)
                    if rank() == 0:
                        self.say(self._line(seconds))
                        self.resumable.save(resume, self.progress)

    def _line(self, seconds: float) -> str:
        """What the last epoch came to."""
        done, epochs = self.progress.epoch, self.settings.epochs
        speed = self.steps * self.settings.batch / seconds
        left = timedelta(seconds=round(self.progress.seconds / done * (epochs - done)))
        return f"epoch {done} of {epochs}, {speed:,.0f} images/s, {left} left: {self.progress.latest}"

    def _periods(self) -> Iterator[range]:
        """Epochs left, in runs that share a table of neighbours and a loader."""
        epochs, first = self.settings.epochs, self.progress.epoch
        length = self.settings.refresh if self.method.pairs else epochs
        while first < epochs:
            last = min(epochs, (first // length + 1) * length)
            yield range(first, last)
            first = last

    def _mine(self, epoch: int) -> None:
        if self.method.pairs and epoch % self.settings.refresh == 0:
            what = f"mining before epoch {epoch + 1}"
            features = embed(self.method.mining_trunk, self.images, self._plain, self.ctx, what)
            self.progress.neighbours = nearest_others(features, self.settings.k, self.ctx.device)
            count, width = len(self.images), features.shape[1]
            forward = forward_flops(self.method.mining_trunk, self.view.size)
            self.progress.flops += count * forward + 2.0 * count**2 * width

    def _batches(self, epochs: range) -> Iterator[list[Tensor]]:
        settings, size, card = self.settings, self.view.size, self.backbone.card
        augment = AUGMENTATIONS[settings.augment]
        views = ContrastiveViews(
            self.images,
            augment(size, card, 1.0),
            self.progress.neighbours,
            tuple(augment(crop, card, crop / size) for crop in self.method.crops),
            self.seed,
        )
        places = OwnParts(len(self.images), settings.batch, settings.accumulate, self.seed, epochs)
        return iter(batches(views, places, self.ctx.workers, pin=self.fabric.device.type == "cuda"))

    def _epoch(self, epoch: int, loader: Iterator[list[Tensor]]) -> dict[str, float]:
        """One pass; returns the mean of every loss part."""
        self.method.begin(epoch)
        total = self.settings.epochs * self.steps
        seen: list[dict[str, Tensor]] = []
        start = time.perf_counter()
        for step in range(self.steps):
            for group in self.optimiser.param_groups:
                group["lr"] = rate(self.settings, epoch, step, self.steps)
            seen.append(self._step(epoch, step, loader))
            if (step + 1) % LOOK_EVERY == 0 or step + 1 == self.steps:
                loss = self._finite(seen, epoch, step)
                speed = (step + 1) * self.settings.batch / (time.perf_counter() - start)
                words = f"epoch {epoch + 1}, loss {loss:.3f}, {speed:,.0f} images/s"
                self.ctx.progress(words, epoch * self.steps + step + 1, total)
        means = {name: torch.stack([parts[name] for parts in seen]).double().mean() for name in seen[0]}
        return {name: float(mean_of_all(mean)) for name, mean in means.items()}

    def _step(self, epoch: int, step: int, loader: Iterator[list[Tensor]]) -> dict[str, Tensor]:
        """One step of the optimiser; the mean of every loss part over what it accumulated."""
        accumulate, kept = self.settings.accumulate, []
        counter = FlopCounterMode(display=False) if self.counting and step == 0 else nullcontext()
        with counter:
            for part in range(accumulate):
                views = [self._placed(view) for view in next(loader)]
                with self.fabric.no_backward_sync(self.stepping, enabled=part + 1 < accumulate):
                    with forked(self.seed, "step", epoch, step * accumulate + part):
                        parts = self.stepping(views)
                    self.fabric.backward(parts["loss"] / accumulate)
                kept.append({name: value.detach() for name, value in parts.items()})
        if isinstance(counter, FlopCounterMode):
            self.progress.step_flops = float(counter.get_total_flops() * world())
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.method.after_step()
        return {name: torch.stack([parts[name] for parts in kept]).mean() for name in kept[0]}

    def _finite(self, seen: list[dict[str, Tensor]], epoch: int, step: int) -> float:
        """The latest loss; every one since the last look must be a number."""
        first = max(0, step + 1 - LOOK_EVERY)
        for at, value in enumerate([float(parts["loss"]) for parts in seen[first:]], start=first):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss is {value} in epoch {epoch + 1}, step {at + 1}, at learning rate "
                    f"{rate(self.settings, epoch, at, self.steps):g}; settings: {asdict(self.settings)}"
                )
        return value

    def _placed(self, view: Tensor) -> Tensor:
        return view.to(self.fabric.device, memory_format=torch.channels_last, non_blocking=True)

    @property
    def _plain(self) -> CentreView:
        return centre_view(self.view, self.backbone.card)

    def _watch(self, epoch: int, losses: dict[str, float]) -> None:
        average_statistics(self.method)
        progress, settings = self.progress, self.settings
        figures = {**losses, RATE: rate(settings, epoch, self.steps - 1, self.steps)}
        if progress.neighbours is not None and len(self.images.classes) > 1:
            figures["purity"] = purity(progress.neighbours, self.images.labels)
        last = epoch + 1 == settings.epochs
        if settings.knn_every and ((epoch + 1) % settings.knn_every == 0 or last):
            found = look(self.method.encoder.trunk, self.images, self._plain, self.ctx)
            figures |= found
            if text := collapse(found):
                self._warn(f"after epoch {epoch + 1} {text}")
        for name, value in figures.items():
            progress.note(name, value)

    def _warn(self, text: str) -> None:
        if text not in self.progress.warnings:
            self.progress.warnings.append(text)
            if rank() == 0:
                self.say(f"warning: {text}")
