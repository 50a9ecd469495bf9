"""Pretraining as a cell of a plan: its result is a checkpoint beside its record."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar

from pydantic import NonNegativeInt
from pydantic.dataclasses import dataclass

from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification
from hsa_bench.core.open_dataset import open_dataset
from hsa_bench.core.task import SETTINGS, Context, Outcome, Task
from hsa_bench.core.views import eval_view
from pretrain.export import budget, export
from pretrain.loop import Training
from pretrain.settings import Settings

NAMES = ("pretrain",)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Pretrain(Settings, Task):
    """A contrastive pretraining of a randomly initialised backbone, on training images without labels."""

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "loss"
    frozen: ClassVar[bool] = False

    name: str = "pretrain"
    image_size: NonNegativeInt = 0
    """Side of the crops, px; 0 is the data set's own."""

    @property
    def protocol(self) -> str:
        return (
            f"Pretraining by {self.method} on the training images, without their labels: {self.epochs} "
            f"epochs of SGD (rate {self.lr:g}, cosine, momentum {self.momentum:g}, weight decay "
            f"{self.weight_decay:g}), batch {self.batch}, augmentation {self.augment}."
        )

    def unsupported(self, backbone: Backbone) -> str:
        return "" if backbone.trunk is not None else f"{backbone.label} has no stages to train"

    def data(self, dataset: str, ctx: Context) -> Classification:
        return open_dataset(dataset, ctx.data_root)

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        settings = Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})
        view = eval_view(data, self.image_size)
        scalars, resume = ctx.artefact("-tensorboard"), ctx.artefact(".resume.pth")
        training = Training(settings, backbone, data.train, view, seed, ctx, scalars)
        training.run(resume)
        spent = budget(training, data.name)
        export(training, ctx.artefact(".pth"), spent)
        resume.unlink(missing_ok=True)
        curves = training.progress.curves
        return Outcome(
            metrics={name: curve[-1] for name, curve in curves.items()},
            curves=curves,
            artefacts={"checkpoint": ctx.artefact(".pth")},
            effective={"images": spent.images, "views": spent.views},
        )


TASKS = (Pretrain(),)
"""By its default settings, MoCo v2's."""
