"""What evaluators of a frozen trunk share: the number format it computes in, and its features."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic.dataclasses import dataclass

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.views import View
from hsa_bench.core.errors import UsageError
from hsa_bench.core.features.extract import Features, FeatureSet, extract_wanted
from hsa_bench.core.features.wanted import Storage, Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.models.precision import COMPILED, Precision, chosen
from hsa_bench.core.runs.task import SETTINGS, ClassificationTask


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FrozenTask(ClassificationTask):
    """The trunk is in eval mode, sees the centre crop, and comes out as it went in."""

    frozen: ClassVar[bool] = True
    together: ClassVar[bool] = True

    precision: Precision = "auto"
    """Number format of the trunk; published recipes use float32. "auto": bfloat16 where the processor
    computes in it, which more than halves the time."""
    storage: Storage = "auto"
    """Number format of features on file. "auto": float32, or float16 where a split's would exceed 1 GiB."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Of the resize before the centre crop."""

    @property
    def main_metric(self) -> str:
        return "top1"

    def resolved(self, data: Classification, ctx: Context) -> Self:
        task = super().resolved(data, ctx)
        if self.reads_layers and self.precision == COMPILED:
            raise UsageError(
                f"{self.name}.precision={COMPILED}: layers are read without torch.compile; take bfloat16"
            )
        return replace(
            task, precision=chosen(self.precision, ctx.device, ctx.compile and not self.reads_layers)
        )

    @property
    def reads_layers(self) -> bool:
        """Whether it reads layers inside the trunk, which a compiled network does not give."""
        return False

    @property
    def view(self) -> View:
        return replace(super().view, interpolation=self.interpolation)

    def wanted_of(self, images: ImageSet, *layers: str) -> Wanted:
        """What `features_of` asks of the cache, of the trunk itself or of some layers."""
        return Wanted(images, self.view, self.precision, self.storage, layers or (LAST,))

    def wanted_of_both(self, data: Classification, *layers: str) -> tuple[Wanted, ...]:
        """What `features` asks of the cache; a task that calls it returns this from `wants`."""
        return tuple(self.wanted_of(images, *layers) for images in (data.train, data.test))

    def features(self, backbone: Backbone, data: Classification, ctx: Context, *layers: str) -> Features:
        """Centre-crop features of both splits, of the trunk itself or of the first layer; see `extract`."""
        return Features(*(extract_wanted(backbone, one, ctx) for one in self.wanted_of_both(data, *layers)))

    def features_of(self, backbone: Backbone, images: ImageSet, ctx: Context) -> FeatureSet:
        """Centre-crop features of some images."""
        return extract_wanted(backbone, self.wanted_of(images), ctx)
