"""Training and test images of a detector, as tensors with boxes, classes and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hsa_bench.core.card import Preprocess
from hsa_bench.core.detection_data import DetectionSplit
from hsa_bench.core.seed import generator
from hsa_bench.core.views import Normalise

Target = dict[str, Tensor]
"""torchvision's: boxes [n, 4] as x0, y0, x1, y1; labels [n], background is 0; masks [n, H, W]."""
Sample = tuple[Tensor, Target]
Draw = tuple[int, int]
"""Epoch and index of an image."""


class TrainingSamples(Dataset[Sample]):
    """Images by (epoch, index), mirrored or not as (seed, epoch, index) says."""

    def __init__(self, split: DetectionSplit, card: Preprocess, flip: bool, seed: int) -> None:
        self.split = split
        self.normalise = Normalise(card)
        self.flip = flip
        self.seed = seed
        self.label = {category.id: i for i, category in enumerate(split.categories, start=1)}

    def __getitem__(self, draw: Draw) -> Sample:
        epoch, index = draw
        image = self.normalise(pixels(self.split, index))
        target = self.target(index)
        if self.flip and torch.rand((), generator=generator(self.seed, "flip", epoch, index)) < 0.5:
            boxes, width = target["boxes"], image.shape[-1]
            target["boxes"] = torch.stack(
                [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1
            )
            target["masks"] = target["masks"].flip(-1)
            image = image.flip(-1)
        return image, target

    def target(self, index: int) -> Target:
        """Objects to learn: crowds are left out, boxes end at the edge of the picture."""
        photo = self.split.photos[index]
        objects = [o for o in self.split.objects[index] if not o.iscrowd]
        corner = torch.tensor([o.bbox for o in objects], dtype=torch.float32)  # [n, 4], x, y, w, h
        boxes = torch.cat([corner[:, :2], corner[:, :2] + corner[:, 2:]], dim=1)
        size = torch.tensor([photo.width, photo.height] * 2, dtype=torch.float32)
        return {
            "boxes": boxes.clamp(min=torch.zeros(4), max=size),
            "labels": torch.tensor([self.label[o.category_id] for o in objects]),
            "masks": torch.from_numpy(np.stack([o.mask(photo.width, photo.height) for o in objects])),
        }


class TestImages(Dataset[Tensor]):
    """Images by index, in the split's order."""

    __test__ = False  # not for pytest

    def __init__(self, split: DetectionSplit, card: Preprocess) -> None:
        self.split = split
        self.normalise = Normalise(card)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Tensor:
        return self.normalise(pixels(self.split, index))


def pixels(split: DetectionSplit, index: int) -> Tensor:
    """Picture `index` in RGB, uint8 [3, H, W]."""
    return torch.from_numpy(np.array(split.images[index])).permute(2, 0, 1)


@dataclass(frozen=True)
class Draws:
    """The order of training: epochs shuffled one by one, images without an object to learn left out."""

    rows: Sequence[int]
    count: int
    """How many to draw in all."""
    seed: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Draw]:
        for start in range(0, self.count, len(self.rows)):
            epoch = start // len(self.rows)
            order = torch.randperm(len(self.rows), generator=generator(self.seed, "order", epoch))
            for place in order[: self.count - start].tolist():
                yield epoch, self.rows[place]


def with_objects(split: DetectionSplit) -> list[int]:
    """Images that have something to learn, as Detectron2 filters them."""
    return [i for i, objects in enumerate(split.objects) if any(not o.iscrowd for o in objects)]


def training_batches(
    samples: TrainingSamples, draws: Draws, batch: int, workers: int
) -> DataLoader[list[Sample]]:
    """Batches of (image, target), all of the same length."""
    return DataLoader(samples, batch, sampler=draws, num_workers=workers, collate_fn=list, drop_last=True)  # type: ignore[arg-type]


def test_batches(images: TestImages, batch: int, workers: int) -> DataLoader[list[Tensor]]:
    """Every image once, in order."""
    return DataLoader(images, batch, num_workers=workers, collate_fn=list)  # type: ignore[arg-type]
