"""The training loop: epochs, mining, steps, and going on after a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from hsa_bench.core.context import Context, unheard
from hsa_bench.core.data.device_views import DeviceViews
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView, View, centre_view
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.processes import average_statistics, gathered_lists, rank, together, world
from hsa_bench.core.seed import forked, seed_device
from pretrain.carry_over import carry_over
from pretrain.compiled import CompiledEncoders
from pretrain.contrastive import Contrastive
from pretrain.data.training_views import TrainingViews
from pretrain.embed import embed
from pretrain.go_on import go_on
from pretrain.launch import launch_fabric
from pretrain.monitor.flops import count_step, mining_flops
from pretrain.monitor.meter import Meter
from pretrain.monitor.monitor import Monitor
from pretrain.monitor.scalars import Scalars
from pretrain.monitor.watch import vote_of
from pretrain.older_files import VERSION
from pretrain.optim.optimiser import optimiser
from pretrain.optim.schedule import rate
from pretrain.positives import mutual, nearest_others
from pretrain.precision import computing
from pretrain.preflight import check, check_labels, warnings
from pretrain.progress import Progress, Resumable
from pretrain.settings import Settings
from pretrain.start import built, checked_state, in_words


def to_the_end(progress: Progress) -> bool:
    """Stop at no epoch."""
    return False


@dataclass
class Training:
    """A method in training on one image set; labels are for watching alone."""

    settings: Settings
    backbone: Backbone
    images: ImageSet
    view: View
    """Crops have its size; features for mining and watching are taken through it."""
    seed: int
    ctx: Context
    scalars: Path | None = None
    """Folder for TensorBoard, if wanted."""
    say: Callable[[str], None] = unheard
    """Called with what a person should know: a line for each epoch, and warnings."""
    counting: bool = True
    """Count FLOPs, in the first step of each epoch: a warm-up's steps cost less than later ones."""
    method: Contrastive = field(init=False)
    compiled: CompiledEncoders = field(init=False)
    progress: Progress = field(init=False, default_factory=Progress)
    fabric: Fabric = field(init=False)
    started: tuple[str, ...] = field(init=False, default=())
    """What was taken from a whole state, and what is new."""
    earlier_seconds: float = field(init=False, default=0.0)
    """Of processes before this one, whose resume file it went on from."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.fabric = launch_fabric(self.ctx.device, settings.precision)
        self.ctx = replace(self.ctx, device=str(self.fabric.device))
        check(settings, len(self.images), self.view.size, world())
        check_labels(settings, self.images)
        if self.backbone.trunk is None:
            raise PretrainingError(f"arch {self.backbone.arch}: has no stages to train")
        self.steps = len(self.images) // settings.batch
        self.method = built(settings.fitted(self.steps), self.backbone, self.seed)
        self.method.train().to(memory_format=torch.channels_last)
        self.stepping, self.optimiser = self.fabric.setup(self.method, optimiser(self.method, settings))
        self.started = self._start()
        self.compiled = CompiledEncoders(self.method, self.ctx.compile, self.ctx.say)

    def _start(self) -> tuple[str, ...]:
        """Take up the whole state that the training starts from; return what is to be known of its start.

        Raises:
            PretrainingError: The file has changed, does not fit, or is not the same for all processes.
        """
        settings = self.settings
        if len({*gathered_lists([settings.init or settings.start_from])}) > 1:
            raise PretrainingError("not all processes start from the same file; put it where they share it")
        with together():
            state = checked_state(settings, self.backbone)
            if state is None:
                return ()
            return (carry_over(state, self.method, self.optimiser, settings.optimiser).in_words,)

    @cached_property
    def resumable(self) -> Resumable:
        """The resume file's content, and what it must agree with."""
        identity = {
            "version": VERSION,
            "settings": asdict(self.settings),
            "weights": self.backbone.weights,
            "arch": self.backbone.arch,
            "card": self.backbone.card.as_dict(),
            "data": self.images.fingerprint(),
            "view": asdict(self.view),
            "seed": self.seed,
        }
        return Resumable(self.method, self.optimiser, identity)

    def run(self, resume: Path, stop: Callable[[Progress], bool] = to_the_end) -> None:
        """Train to the end, from where `resume` stands if it exists.

        The caller removes that file once the result is safe.

        Args:
            resume: The file, written after each epoch.
            stop: Asked where the training stands and after each epoch whether to leave it there for now: a
                later call goes on as if there had been no stop. All processes must be told the same.

        Raises:
            PretrainingError: The resume file belongs to another training, or cannot be written.
            FloatingPointError: The loss is no longer a number.
        """
        # The data's fingerprint, of `resumable`, takes a while: before processes wait for each other.
        if (found := go_on(self.resumable, resume, self.images, self.settings.epochs, self.ctx)) is not None:
            self.progress, self.earlier_seconds = found, found.seconds
        progress = self.progress
        if stop(progress):
            return
        if rank() == 0 and not progress.epoch:
            self._say_start()
        with self._monitor() as monitor, computing(self.settings.precision, self.fabric.device):
            monitor.warn(warnings(self.settings, len(self.images)))
            for epochs in self._periods():
                self._mine(epochs.start)
                loader = self._batches(epochs)
                for epoch in epochs:
                    monitor.weigh(self.method.weighs_neighbours(epoch))
                    losses = self._epoch(epoch, loader)
                    average_statistics(self.method)
                    progress.epoch = epoch + 1
                    progress.flops += self.steps * progress.step_flops
                    progress.views += self.method.views
                    monitor.note(losses)
                    if rank() == 0:
                        self.resumable.save(resume, progress)
                    if progress.ended or stop(progress):
                        return

    def _epoch(self, epoch: int, loader: Iterator[list[Tensor]]) -> dict[str, float]:
        """Pass over the images once; return the mean of every loss part."""
        self.method.begin(epoch)
        meter = Meter(self.settings, epoch, self.steps, self.ctx)
        for step in range(self.steps):
            for group in self.optimiser.param_groups:
                group["lr"] = rate(self.settings, epoch, step, self.steps)
            meter.add(self._step(epoch, step, loader))
        return meter.means()

    def _step(self, epoch: int, step: int, loader: Iterator[list[Tensor]]) -> dict[str, Tensor]:
        """Step the optimiser once; return the mean of every loss part over what it accumulated."""
        accumulate = self.settings.accumulate
        losses: list[dict[str, Tensor]] = []
        counting = self.counting and step == 0
        with self.compiled.left_out(counting), count_step(self.progress, counting):
            for part in range(accumulate):
                views, purpose = next(loader), ("step", epoch, step * accumulate + part)
                with self.fabric.no_backward_sync(self.stepping, enabled=part + 1 < accumulate):
                    losses.append(self.compiled.trying(partial(self._gradients, purpose, views)))
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.method.after_step()
        return {name: torch.stack([parts[name] for parts in losses]).mean() for name in losses[0]}

    def _gradients(self, purpose: tuple[str, int, int], views: list[Tensor]) -> dict[str, Tensor]:
        """Add the gradients of one part of a batch; return its loss in parts."""
        seed_device(self.fabric.device, self.seed, *purpose, rank())
        with forked(self.seed, *purpose):
            parts = self.stepping(views)
        self.fabric.backward(parts["loss"] / self.settings.accumulate)
        return {name: value.detach() for name, value in parts.items()}

    def _say_start(self) -> None:
        if start := in_words(self.settings, self.backbone):
            self.ctx.say("; ".join((f"starts from {start}", *self.started)))

    def _monitor(self) -> Monitor:
        """Watch from where the progress stands."""
        return Monitor(
            self.settings,
            self.progress,
            self.method.encoder.trunk,
            self.method.pairs,
            self.images,
            self._plain,
            self.ctx,
            Scalars(self.scalars if rank() == 0 else None, self.progress.curves),
            self.say,
            vote_of(self.settings, self.method.encoder),
        )

    def _periods(self) -> Iterator[range]:
        """Yield the epochs left, in runs that share a table of neighbours and a loader."""
        epochs, first = self.settings.epochs, self.progress.epoch
        if self.progress.ended:
            return
        length = self.settings.refresh if self.method.pairs else epochs
        while first < epochs:
            last = min(epochs, (first // length + 1) * length)
            yield range(first, last)
            first = last

    def _mine(self, epoch: int) -> None:
        """Find each image's neighbours anew, if the method wants them in this epoch."""
        if self.method.pairs and epoch % self.settings.refresh == 0:
            trunk, what = self.method.mining_trunk, f"mining before epoch {epoch + 1}"
            features = embed(trunk, self.images, self._plain, self.ctx, what)
            table = nearest_others(features, self.settings.k, self.ctx.device)
            self.progress.neighbours = mutual(table) if self.settings.mutual else table
            self.progress.flops += mining_flops(trunk, self.view.size, len(self.images), features)

    def _batches(self, epochs: range) -> Iterator[list[Tensor]]:
        """Begin to load the images of these epochs, each process its own parts of every batch."""
        return self._views.batches(epochs, self.progress.neighbours)

    @cached_property
    def _views(self) -> TrainingViews:
        """Views of this training's images, made once, as they may hold all pictures."""
        device, crops = self.fabric.device, self.method.crops
        there = DeviceViews(self.images, self.backbone.card, device, self.settings.augment_on)
        return TrainingViews(self.settings, there, self.view.size, crops, self.seed, self.ctx.workers)

    @property
    def _plain(self) -> CentreView:
        return centre_view(self.view, self.backbone.card)
