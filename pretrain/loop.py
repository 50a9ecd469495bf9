"""The training loop: epochs, schedule, mining, watching, and going on after a stop."""

from __future__ import annotations

import copy
import importlib
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hsa_bench.core import registry
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import ImageSet, label_subset
from hsa_bench.core.features import forward_all
from hsa_bench.core.loading import order, shuffled
from hsa_bench.core.neighbours import vote
from hsa_bench.core.seed import derive, forked
from hsa_bench.core.store import whole_file
from hsa_bench.core.task import Context
from hsa_bench.core.views import View, centre_view
from pretrain.augment import AUGMENTATIONS
from pretrain.contrastive import Contrastive
from pretrain.positives import Neighbours, PairedViews, nearest_others, paired, purity
from pretrain.preflight import PretrainingError, check
from pretrain.settings import METHODS, Settings

KNN_K, KNN_TEMPERATURE = 20, 0.07


@dataclass
class Progress:
    """How far a training is; what a resumed one continues from besides weights and optimiser."""

    epoch: int = 0
    """Epochs that are over."""
    seconds: float = 0.0
    neighbours: Neighbours | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Add a point to a curve."""
        self.curves.setdefault(name, []).append(value)


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
    method: Contrastive = field(init=False)
    optimiser: torch.optim.Optimizer = field(init=False)
    progress: Progress = field(init=False, default_factory=Progress)

    def __post_init__(self) -> None:
        check(self.settings, len(self.images))
        build = registry.load(METHODS, self.settings.method).Method
        with forked(self.seed, "method"):
            self.method = build(copy.deepcopy(self.backbone.module), self.settings).to(self.ctx.device)
        self.method.train()
        trained = [p for p in self.method.parameters() if p.requires_grad]
        self.method.to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(
            trained,
            self.settings.lr,
            self.settings.momentum,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What a resume file must agree on."""
        return {
            "settings": asdict(self.settings),
            "weights": self.backbone.weights,
            "data": self.images.fingerprint(),
            "seed": self.seed,
        }

    def run(self, resume: Path) -> None:
        """Train to the end, from where `resume` stands if it exists; it is removed when all is done by
        the caller, once the result is safe.

        Raises:
            PretrainingError: The resume file belongs to other settings or data.
            FloatingPointError: The loss is no longer a number.
        """
        if resume.exists():
            self._load(resume)
        total = self.settings.epochs * (len(self.images) // self.settings.batch)
        writer = _writer(self.scalars)
        for epoch in range(self.progress.epoch, self.settings.epochs):
            start = time.perf_counter()
            self._mine(epoch)
            losses = self._epoch(epoch, total)
            self._watch(epoch, losses)
            self.progress.epoch = epoch + 1
            self.progress.seconds += time.perf_counter() - start
            if writer is not None:
                for name, curve in self.progress.curves.items():
                    writer.add_scalar(name, curve[-1], epoch + 1)
                writer.add_scalar("learning rate", rate(self.settings, epoch), epoch + 1)
            self._save(resume)
        if writer is not None:
            writer.close()

    def _epoch(self, epoch: int, total: int) -> dict[str, float]:
        """One pass; returns the mean of every loss part."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.settings, epoch)
        self.method.begin(epoch)
        sums: dict[str, float] = {}
        batches = len(self.images) // self.settings.batch
        for step, (views, _, _) in enumerate(self._batches(epoch)):
            with forked(self.seed, "step", epoch, step):
                parts = self.method([self._placed(view) for view in views])
            loss = parts["loss"]
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss is {value} in epoch {epoch}, step {step}, at learning rate "
                    f"{rate(self.settings, epoch):g}; settings: {asdict(self.settings)}"
                )
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + float(part.detach()) / batches
            done = epoch * batches + step + 1
            self.ctx.progress(f"epoch {epoch + 1}, loss {value:.3f}", done, total)
        return sums

    def _placed(self, view: Tensor) -> Tensor:
        return view.to(self.ctx.device, memory_format=torch.channels_last)

    def _batches(self, epoch: int) -> Iterable[Any]:
        settings, ctx = self.settings, self.ctx
        transform = AUGMENTATIONS[settings.augment](self.view.size, self.backbone.card)
        if self.progress.neighbours is None:
            return shuffled(
                self.images, [transform] * 2, settings.batch, self.seed, epoch, ctx.workers, drop_last=True
            )
        views = PairedViews(
            self.images, transform, self.progress.neighbours, derive(self.seed, "views"), epoch
        )
        return paired(views, settings.batch, order(len(self.images), self.seed, epoch), ctx.workers)

    def _mine(self, epoch: int) -> None:
        if self.method.pairs and epoch % self.settings.refresh == 0:
            features = self._embed(self.method.mining_trunk, f"mining before epoch {epoch + 1}")
            self.progress.neighbours = nearest_others(features, self.settings.k)

    def _watch(self, epoch: int, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self.progress.note(name, value)
        if self.progress.neighbours is not None:
            self.progress.note("purity", purity(self.progress.neighbours, self.images.labels))
        last = epoch + 1 == self.settings.epochs
        if self.settings.knn_every and ((epoch + 1) % self.settings.knn_every == 0 or last):
            self.progress.note("knn", self._knn())

    def _knn(self) -> float:
        """Accuracy of the trunk's features on a fixed held-out tenth of train, percent."""
        features = self._embed(self.method.encoder.trunk, "kNN")
        labels = torch.from_numpy(self.images.labels)
        held_out = torch.zeros(len(labels), dtype=torch.bool)
        held_out[label_subset(self.images.labels, 0.1, seed=0)] = True
        classes = len(self.images.classes)
        scores = vote(
            features[held_out], features[~held_out], labels[~held_out], classes, KNN_K, KNN_TEMPERATURE
        )
        return float((scores.argmax(1) == labels[held_out]).double().mean() * 100)

    def _embed(self, trunk: Any, what: str) -> Tensor:
        """Pooled features of the un-augmented pictures, [N, D], unit length."""
        transform = centre_view(self.view, self.backbone.card)
        return F.normalize(forward_all(trunk, self.images, transform, self.ctx, what), dim=1)

    def _save(self, path: Path) -> None:
        progress = {**vars(self.progress)}
        neighbours = progress.pop("neighbours")
        with whole_file(path) as file:
            torch.save(
                {
                    "identity": self.identity,
                    "method": self.method.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "progress": progress,
                    "neighbours": None if neighbours is None else torch.from_numpy(neighbours),
                },
                file,
            )

    def _load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.ctx.device, weights_only=True)
        other = [name for name, value in self.identity.items() if state["identity"].get(name) != value]
        if other:
            raise PretrainingError(
                f"{path}: belongs to a training with other {' and '.join(other)}; "
                "remove it or use another --out"
            )
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        table = state["neighbours"]
        self.progress = Progress(
            **state["progress"], neighbours=None if table is None else table.cpu().numpy()
        )


def rate(settings: Settings, epoch: int) -> float:
    """Learning rate of an epoch: linear warm-up, then MoCo's cosine over all epochs."""
    if epoch < settings.lr_warmup:
        return settings.lr * (epoch + 1) / settings.lr_warmup
    return settings.lr * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))


def _writer(folder: Path | None) -> Any:
    if folder is None:
        return None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
