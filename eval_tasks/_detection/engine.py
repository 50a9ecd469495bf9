"""The interface of a detector: losses of a batch in training, detections in test images."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

Engine = Literal["auto", "detectron2", "torchvision"]

Target = dict[str, Tensor]
"""boxes [n, 4] as x0, y0, x1, y1 in px; labels [n] in [0, classes); with masks: masks [n, H, W], uint8."""

Size = tuple[int, int]
"""Height and width, px."""


@dataclass(frozen=True)
class Detections:
    """Detections in one image, best first."""

    boxes: Tensor
    """[n, 4] as x0, y0, x1, y1, px of the original image."""
    labels: Tensor
    """[n], int64 in [0, classes)."""
    scores: Tensor
    """[n], in [0, 1]."""
    masks: Tensor | None
    """[n, H, W], bool, at the size of the original image; None for a detector of boxes."""


class Detector(nn.Module, ABC):
    """A whole network for detection; it takes images that are resized and normalised already."""

    @abstractmethod
    def losses(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """The parts of a batch's loss, under names that all engines share; the network is in train mode.

        Args:
            images: Each [3, H, W], of any size.
            targets: Objects of each; an image may have none.
        """

    @abstractmethod
    def detect(self, images: list[Tensor], sizes: list[Size]) -> list[Detections]:
        """Detect objects in each image; the network is in eval mode.

        Args:
            images: Each [3, H, W], of any size.
            sizes: Size of each original image, to which boxes and masks are scaled back.
        """


def chosen(engine: Engine) -> Engine:
    """What "auto" means here: Detectron2 where it is installed, else torchvision."""
    if engine != "auto":
        return engine
    return "detectron2" if importlib.util.find_spec("detectron2") else "torchvision"
