"""Pretraining as a run of a plan: its result is a checkpoint beside its record."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar, Self

from pydantic.dataclasses import dataclass

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.runs.task import SETTINGS, ClassificationTask, Outcome
from pretrain.export import finish
from pretrain.kept_state import read_state_file, state_path
from pretrain.loop import Training
from pretrain.monitor.described import described, ends
from pretrain.older_files import LATER, VERSION
from pretrain.precision import refuse_unknown
from pretrain.preflight import check, check_labels
from pretrain.settings import Settings
from pretrain.start import SHOWN_DIGITS

NAMES = ("pretrain",)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Pretrain(Settings, ClassificationTask):
    """A contrastive pretraining of a backbone, of random weights or a start's, on images without labels."""

    version: ClassVar[int] = VERSION
    main_metric: ClassVar[str] = "loss"
    frozen: ClassVar[bool] = False
    later: ClassVar[frozenset[str]] = LATER

    name: str = "pretrain"

    @property
    def protocol(self) -> str:
        made = "" if self.augment_on == "cpu" else " (pixels on the device)"
        course = f"{self.peak_lr:g}, {'constant' if self.schedule == 'constant' else 'cosine'}"
        length = f"without their labels: {self.epochs} epochs"
        if self.until_purity:
            length = (
                f"their labels used for its length alone: at most {self.epochs} epochs, until the purity of "
                f"neighbours is {self.until_purity:g} points above bare pixels',"
            )
        return (
            f"Pretraining by {self.method} on the training images, {length} "
            f"of {self.optimiser.upper()} (rate {course}, momentum {self.momentum:g}, "
            f"weight decay {self.weight_decay:g}), batch {self.batch}, augmentation {self.augment}{made}."
            f"{self._begins}"
        )

    @property
    def _begins(self) -> str:
        if self.start_from:
            return f" It begins with the whole state {self.start_from[:SHOWN_DIGITS]} of an earlier training."
        return f" It begins with the weights {self.init[:SHOWN_DIGITS]}." if self.init else ""

    def unsupported(self, backbone: Backbone) -> str:
        return "" if backbone.trunk is not None else f"{backbone.label} has no stages to train"

    @property
    def training(self) -> Settings:
        """The settings without what only a task has."""
        return Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})

    def data(self, dataset: str, ctx: Context) -> Classification:
        return open_dataset(dataset, ctx.data_root)  # without labels, one class is enough

    def resolved(self, data: Classification, ctx: Context) -> Self:
        check(self.training, len(data.train))
        check_labels(self.training, data.train)
        refuse_unknown(self.precision, ctx.device)
        return super().resolved(data, ctx)

    def unlike(self, usual: Self, data: Classification, ctx: Context) -> tuple[str, ...]:
        return ()  # what differs from its method's code is in the budget's notes

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        scalars, resume = ctx.artefact("-tensorboard"), ctx.scratch("resume.pth")
        training = Training(self.training, backbone, data.train, self.view, seed, ctx, scalars)
        spent = finish(training, data.name, ctx.artefact(".pth"), resume)
        assert spent is not None, "a run runs in one process"
        artefacts = {"checkpoint": ctx.artefact(".pth")}
        if self.keep_state:
            artefacts["state"] = state_path(artefacts["checkpoint"])
        kept = {"state": read_state_file(artefacts["state"]).hash} if self.keep_state else {}
        curves = described(training.progress.curves, spent.epochs, self.knn_every, self.knn_taken)
        return Outcome(
            metrics=ends(curves),
            curves=curves,
            artefacts=artefacts,
            effective={
                "images": spent.images,
                "views": spent.views,
                "weights": weights_hash(training.method.encoder.trunk),
                **kept,
            },
            images=round(spent.images * spent.views),  # its encoders' passes; mining and watching are not
            earlier_seconds=training.earlier_seconds,
        )


TASKS = (Pretrain(),)
"""By its default settings, MoCo v2's."""
