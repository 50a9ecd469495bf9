"""Training and test images of a detector: resized, mirrored, normalised, with boxes and masks."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from eval_tasks._detection.batches import Draw
from eval_tasks._detection.engine import Size, Target
from eval_tasks._detection.settings import DetectionTask
from hsa_bench.core.data.detection.detection_data import DetectionSplit
from hsa_bench.core.data.detection.objects_there import to_learn
from hsa_bench.core.data.views import Normalise
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.seed import generator

Sample = tuple[Tensor, Target]


class TrainingSamples(Dataset[Sample]):
    """Images by (epoch, index); size and mirroring are drawn by (seed, epoch, index)."""

    def __init__(self, split: DetectionSplit, card: Preprocess, task: DetectionTask, seed: int) -> None:
        self.split = split
        self.normalise = Normalise(card)
        self.task = task
        self.seed = seed
        self.label = {category.id: i for i, category in enumerate(split.categories)}

    def __getitem__(self, draw: Draw) -> Sample:
        epoch, index = draw
        sizes = self.task.train_sizes
        which = int(torch.randint(len(sizes), (), generator=generator(self.seed, "size", epoch, index)))
        image = self.normalise(resized(self.split.images[index], sizes[which], self.task.max_size))
        target = self.target(index, (image.shape[1], image.shape[2]))
        if self.task.flip and torch.rand((), generator=generator(self.seed, "flip", epoch, index)) < 0.5:
            image, target = mirrored(image, target)
        return image, target

    def target(self, index: int, size: Size) -> Target:
        """Objects to learn, in an image of that size: crowds are left out, boxes end at its edge."""
        photo = self.split.photos[index]
        objects = [o for o in self.split.objects[index] if not o.iscrowd]
        height, width = size
        corner = torch.tensor([o.bbox for o in objects], dtype=torch.float32).view(-1, 4)  # x, y, w, h
        boxes = torch.cat([corner[:, :2], corner[:, :2] + corner[:, 2:]], dim=1)
        boxes = boxes * torch.tensor([width / photo.width, height / photo.height] * 2)
        boxes = boxes.clamp(min=torch.zeros(4), max=torch.tensor([width, height] * 2, dtype=torch.float32))
        real = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)
        target = {"boxes": boxes, "labels": torch.tensor([self.label[o.category_id] for o in objects])}
        if self.task.masks:
            drawn = [o.mask(photo.width, photo.height) for o in objects]
            inked = torch.from_numpy(np.stack(drawn)) if drawn else torch.zeros(0, *size, dtype=torch.uint8)
            # nearest, as Detectron2 resizes bitmaps
            target["masks"] = F.interpolate(inked[None], size=size, mode="nearest")[0]
            real &= target["masks"].bool().flatten(1).any(dim=1)
        return {name: value[real] for name, value in target.items()}


class TestImages(Dataset[Tensor]):
    """Images by index, at test size."""

    __test__ = False  # not for pytest

    def __init__(self, split: DetectionSplit, card: Preprocess, task: DetectionTask) -> None:
        self.split = split
        self.normalise = Normalise(card)
        self.task = task

    def __getitem__(self, index: int) -> Tensor:
        return self.normalise(resized(self.split.images[index], self.task.test_size, self.task.max_size))


def resized_size(width: int, height: int, shorter: int, longest: int) -> Size:
    """Height and width after resizing the shorter side, or the longer to its limit; as Detectron2 rounds."""
    scale = shorter / min(width, height)
    if max(width, height) * scale > longest:
        scale = longest / max(width, height)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def resized(picture: Image.Image, shorter: int, longest: int) -> Image.Image:
    """A picture with that shorter side, px, bilinear with anti-aliasing."""
    height, width = resized_size(picture.width, picture.height, shorter, longest)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def mirrored(image: Tensor, target: Target) -> Sample:
    """Left and right changed over."""
    boxes, width = target["boxes"], image.shape[-1]
    turned = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    masks = {"masks": target["masks"].flip(-1)} if "masks" in target else {}
    return image.flip(-1), {**target, "boxes": turned, **masks}


def with_objects(split: DetectionSplit) -> list[int]:
    """Images that have something to learn, as Detectron2 filters them."""
    return to_learn(split)
