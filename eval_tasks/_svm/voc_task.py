"""What the SVM evaluations on VOC 2007 share: data, view, features and the test's rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from eval_tasks._shared.frozen import FrozenTask
from eval_tasks._shared.protocol_text import centre_crop, listed, trunk
from eval_tasks._svm.fit import Problem, Solved, solve_all, unit
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.voc_labels import ABSENT, IGNORED, VocLabels, open_voc_labels
from hsa_bench.core.data.image_set import Labels
from hsa_bench.core.data.views import View
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST, layer_names
from hsa_bench.core.processes import gathered_lists, own_range, together
from hsa_bench.core.runs.task import SETTINGS

T = TypeVar("T")

VISSL_LAYERS = ("stage3", "stage4")
"""res4 and res5."""
VISSL_COSTS = (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0)

VISSL: Mapping[str, Any] = {
    "layers": VISSL_LAYERS,
    "squash": True,
    "costs": VISSL_COSTS,
    "difficult": "left out",
}
PCL: Mapping[str, Any] = {"costs": (0.5,), "difficult": "negative"}
"""What is each recipe's with all labels and with few."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class VocSvm(FrozenTask):
    """One linear SVM for each class of VOC 2007 on frozen features."""

    seeded: ClassVar[bool] = False
    own_data: ClassVar[bool] = True

    root: str = ""
    """A VOCdevkit folder; empty for `VOCdevkit` below the data root."""
    layers: tuple[str, ...] = ()
    """Whose features are measured, each alone; the last one's number is the main one. Empty: the trunk's."""
    squash: bool = False
    """Whether whole pictures are resized to the square, instead of their centre cropped."""
    costs: tuple[PositiveFloat, ...] = Field(min_length=1)
    """C of the SVMs."""
    max_iter: PositiveInt = 2000
    """Passes over the training images at which a fit ends, converged or not."""
    difficult: Literal["left out", "negative"]
    """What an image is in the test of a class of which it shows difficult objects alone."""

    @property
    def view(self) -> View:
        return replace(super().view, squash=self.squash)

    @property
    def setting(self) -> str:
        """Data, view, features and machines, in words."""
        layers = (
            f" of {', '.join(self.layers)} (stages 3 and 4 are res4 and res5; average-pooled as VISSL does, "
            "at 224 px to 3 and 2 cells a side)"
        )
        return (
            f"Which of 20 classes an image of VOC 2007 shows; learnt from trainval, tested on test. Features"
            f"{layers if self.layers else ''} of {trunk(self)}, divided by their length + 1e-5. "
            f"{self._seen()}. Per class one LinearSVC of scikit-learn (L2 penalty, squared hinge, dual, "
            f"positives weigh 2, tolerance 1e-4, at most {self.max_iter} passes, random_state 0)"
        )

    @property
    def trained(self) -> str:
        """What an image is in training where it shows only difficult objects of a class, in words."""
        return "a negative"

    @property
    def rule(self) -> str:
        """How the test is scored, in words."""
        return (
            f"An image that shows only difficult objects of a class is {self.trained} in training and "
            f"{'left out of' if self.difficult == 'left out' else 'a negative in'} the test. AP: area under "
            "the precision at each recall or beyond, mAP its mean over the classes. Labels are read from the "
            "annotations; they are those of VOC's ImageSets/Main/<class>_<list>.txt. A class without enough "
            "images is left out and named; VOC has none"
        )

    def _seen(self) -> str:
        if not self.squash:
            return centre_crop(self)
        size = f"{self.image_size} px" if self.image_size else "the data set's own size"
        first = (
            f"its shorter side resized to {self.resize} px, then " if self.resize != self.image_size else ""
        )
        return f"The whole picture, {first}both sides resized to {size} ({self.interpolation})"

    @property
    def reads_layers(self) -> bool:
        return bool(self.layers)

    def unsupported(self, backbone: Backbone) -> str:
        known = layer_names(backbone.module)
        unknown = [name for name in self.layers if name not in known]
        also = f"{self.name.removesuffix('-pcl')}-pcl takes the features of any network"
        return f"it has no layer {unknown[0]!r}, as ResNets have; {also}" if unknown else ""

    def data(self, dataset: str, ctx: Context) -> VocLabels:
        """Open its own data; those of the run have one class an image."""
        root = Path(self.root).expanduser() if self.root else ctx.data_root / "VOCdevkit"
        return open_voc_labels(root)

    def wants(self, backbone: Backbone, data: VocLabels, limit: int | None) -> tuple[Wanted, ...]:
        return self.wanted_of_both(data.limited(limit), *self.layers)

    def solved(
        self,
        backbone: Backbone,
        data: VocLabels,
        problems: Sequence[Problem],
        keep: Callable[[Problem, Solved], T],
        ctx: Context,
        layer: str = LAST,
    ) -> list[T]:
        """Solve problems on the features of one layer; several processes share them.

        Returns:
            What `keep` makes of each, as all scores of all problems may not fit into memory.
        """
        found = self.features(backbone, data, ctx, layer, *self.layers)
        train, test = (unit(split.rows().numpy()) for split in (found.train, found.test))
        share = own_range(len(problems))
        mine = problems[share.start : share.stop]
        what = f"{self.name} of {backbone.label} {layer}".strip()
        with together():
            solved = ctx.track(solve_all(train, test, mine), what, len(mine))
            kept = [keep(problem, one) for problem, one in zip(mine, solved, strict=True)]
        return gathered_lists(kept)

    def asked(self, data: VocLabels) -> Labels:
        """Labels of the test images by the test's rule, [I, 20]: `IGNORED` ones are left out."""
        labels = data.test_labels
        return labels if self.difficult == "left out" else np.where(labels == IGNORED, ABSENT, labels)


def costs_tried(costs: tuple[float, ...]) -> str:
    """The costs in words."""
    return f"C = {costs[0]:g}" if len(costs) == 1 else f"C of {listed(costs)}"
