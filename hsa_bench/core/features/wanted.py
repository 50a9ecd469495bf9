"""Features that are wanted of some images: through which view, in which number formats, of which layers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import View, resizes
from hsa_bench.core.digest import digest_of
from hsa_bench.core.features.kept import KeptFeatures
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.models.precision import Precision, chosen

VERSION = 3
"""Raised when the computation changes a feature, or what identifies one."""

Storage = Literal["auto", "float32", "float16"]
"""Number format of features on file. "auto": float32 up to `IN_MEMORY`."""


@dataclass(frozen=True)
class Wanted:
    """What a task will ask of the cache, for any backbone: nothing here depends on a card."""

    images: ImageSet
    view: View
    precision: Precision = "float32"
    """Number format of the trunk."""
    storage: Storage = "auto"
    layers: tuple[str, ...] = (LAST,)
    """Whose features: one of `layer_names`, or the trunk's own; then those that will be asked for."""
    device: str = "cpu"
    """Kind of device that computes them, so that a number of a GPU is never of features of the CPU."""

    def on(self, device: str) -> Self:
        """The same computed on a device, with the precision that "auto" means there."""
        return replace(self, precision=chosen(self.precision, device), device=device.partition(":")[0])

    def with_layers(self, layers: tuple[str, ...]) -> Self:
        """The same of other layers."""
        return replace(self, layers=layers)

    @property
    def seen(self) -> str:
        """What is seen of the pictures, as JSON: wants that share it can share crops, whatever the card."""
        return json.dumps(self._seen())

    @property
    def view_in_words(self) -> str:
        """The view as a person says it: "at 224 px of 256 px, bicubic"."""
        size, resize, interpolation, *squash = self._seen()
        words = f"squashed to {size} px" if squash else f"at {size} px"
        words += f" of {resize} px" if resize != size else ""
        return words + (f", {interpolation}" if interpolation != "none" else "")

    def files(self, backbone: Backbone, cache: Path) -> dict[str, KeptFeatures]:
        """The files that features of a backbone have or will have, by layer: the trunk's own first."""
        return {layer: self._file(backbone, cache, layer) for layer in dict.fromkeys((LAST, *self.layers))}

    def _file(self, backbone: Backbone, cache: Path, layer: str) -> KeptFeatures:
        identity = self._identity(backbone, layer)
        return KeptFeatures(
            path=cache / "features" / f"{digest_of(identity)}.npy",
            said={"backbone": backbone.label, "data": len(self.images), **identity},
            rows=len(self.images),
            print=backbone.print,
            dim=backbone.dim if layer == LAST else 0,
        )

    def _identity(self, backbone: Backbone, layer: str) -> dict[str, Any]:
        """Everything that can change a feature."""
        return {
            "version": VERSION,
            "id": backbone.id.model_dump(),
            "images": self.images.fingerprint(),
            "view": self._seen(),
            "precision": self.precision,
            "storage": self.storage,
            "layer": layer,
            **({} if self.device == "cpu" else {"device": self.device}),  # names of the CPU's files stay
        }

    def _seen(self) -> list[int | str]:
        view = self.view
        return [
            view.size,
            view.resize,
            view.interpolation if resizes(view, self.images) else "none",
            *(["squash"] if view.squash else []),
        ]
