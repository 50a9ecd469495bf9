"""A detector's findings in every test image, in original pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pycocotools.mask as run_lengths
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from eval_tasks._detection.engine import Detections, Detector, Size
from eval_tasks._detection.samples import TestImages, resized_size
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionSplit
from hsa_bench.core.data.loading import pinned
from hsa_bench.core.processes import gathered_lists, own_range

BATCH = 8
"""Test images that run together at most; all of one size, so that no number depends on it."""


@dataclass(frozen=True)
class StoredDetections:
    """An image's detections as they are kept until scored: arrays, and masks as run lengths; best first."""

    image: int
    """Its index in the split."""
    boxes: NDArray[np.float32]
    """[n, 4] as x0, y0, x1, y1, px."""
    labels: NDArray[np.int64]
    """[n], index among the split's categories."""
    scores: NDArray[np.float32]
    """[n]."""
    masks: list[dict[str, Any]] | None
    """Run lengths as pycocotools has them, [n]; None for a detector of boxes."""


def detect(detector: Detector, images: TestImages, ctx: Context) -> list[StoredDetections]:
    """Findings in every picture of a split, in its order; several processes share the pictures."""
    detector.to(ctx.device).eval()
    split, task = images.split, images.task
    sizes = [resized_size(p.width, p.height, task.test_size, task.max_size) for p in split.photos]
    every = _of_one_size(sizes)
    own = [every[i] for i in own_range(len(every))]
    loader: DataLoader[list[torch.Tensor]] = DataLoader(
        cast("Dataset[list[torch.Tensor]]", images),  # a list a batch
        batch_sampler=own,
        num_workers=ctx.workers,
        collate_fn=list,
        pin_memory=pinned(ctx.device),
    )
    findings: list[StoredDetections] = []
    with torch.inference_mode():
        for batch, indices in zip(ctx.track(loader, "detector: test images", len(own)), own, strict=True):
            original = [(split.photos[i].height, split.photos[i].width) for i in indices]
            detections = detector.detect(
                [image.to(ctx.device, non_blocking=True) for image in batch], original
            )
            findings += [_packed(i, one) for i, one in zip(indices, detections, strict=True)]
    return sorted(gathered_lists(findings), key=lambda one: one.image)


def coco_rows(findings: list[StoredDetections], split: DetectionSplit) -> list[dict[str, Any]]:
    """Findings in COCO's results format (https://cocodataset.org/#format-results)."""
    return [
        {
            "image_id": split.photos[one.image].id,
            "category_id": split.categories[label].id,
            "score": score,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            **({"segmentation": one.masks[i]} if one.masks is not None else {}),
        }
        for one in findings
        for i, (label, score, (x0, y0, x1, y1)) in enumerate(
            zip(one.labels.tolist(), one.scores.tolist(), one.boxes.tolist(), strict=True)
        )
    ]


def _of_one_size(sizes: list[Size]) -> list[list[int]]:
    """Indices in batches of pictures that have one size."""
    alike: dict[Size, list[int]] = {}
    for index, size in enumerate(sizes):
        alike.setdefault(size, []).append(index)
    return [rows[i : i + BATCH] for rows in alike.values() for i in range(0, len(rows), BATCH)]


def _packed(index: int, detections: Detections) -> StoredDetections:
    masks = None
    if detections.masks is not None:
        inked = detections.masks.byte().cpu().numpy()  # [n, H, W]
        masks = [run_lengths.encode(np.asfortranarray(mask)) for mask in inked]
    return StoredDetections(
        image=index,
        boxes=detections.boxes.cpu().numpy(),
        labels=detections.labels.cpu().numpy(),
        scores=detections.scores.cpu().numpy(),
        masks=masks,
    )
