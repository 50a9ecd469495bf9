"""A detector's findings as rows of COCO's results format (https://cocodataset.org/#format-results)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pycocotools.mask as run_lengths
import torch
from numpy.typing import NDArray
from torchvision.models.detection import MaskRCNN

from eval_tasks._detection.samples import TestImages, test_batches
from hsa_bench.core.card import Preprocess
from hsa_bench.core.detection_data import DetectionSplit
from hsa_bench.core.task import Context

Row = dict[str, Any]
"""image_id, category_id, score, bbox as x, y, w, h in px, segmentation as run lengths."""

BATCH = 8
"""Test images that run together; changes no number, as batch norm stands still."""


def detect(
    model: MaskRCNN, split: DetectionSplit, card: Preprocess, test_size: int, ctx: Context
) -> list[Row]:
    """Detections in every picture of a split, in original pixels, best first within a picture."""
    model.to(ctx.device).eval()
    model.transform.min_size = (test_size,)
    loader = test_batches(TestImages(split, card), BATCH, ctx.workers)
    rows: list[Row] = []
    photos = iter(split.photos)
    with torch.inference_mode():
        for images in ctx.track(loader, "detector: test images", len(loader)):
            for found in model([image.to(ctx.device) for image in images]):
                photo = next(photos)
                for category, score, box, mask in _items(found):
                    rows.append(
                        {
                            "image_id": photo.id,
                            "category_id": split.categories[category - 1].id,
                            "score": score,
                            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                            "segmentation": mask,
                        }
                    )
    return rows


def _items(found: dict[str, torch.Tensor]) -> Iterator[tuple[int, float, list[float], Any]]:
    inked: NDArray[np.uint8] = (found["masks"][:, 0] > 0.5).byte().cpu().numpy()  # [n, H, W]
    packed = [run_lengths.encode(np.asfortranarray(mask)) for mask in inked]
    return zip(
        found["labels"].tolist(), found["scores"].tolist(), found["boxes"].tolist(), packed, strict=True
    )
