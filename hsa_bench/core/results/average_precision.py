"""Average precision from stored matches, over any resample of the images; COCO's and PASCAL VOC's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.results.outcomes import DetectionOutcomes

RECALLS = {"coco": np.linspace(0, 1, 101), "voc07": np.arange(0.0, 1.1, 0.1)}
"""Recalls at which the precision is read (arXiv:1405.0312; VOC 2007's as py-faster-rcnn counts them)."""

IOU_50, IOU_75 = 0, 5
"""Where AP50 and AP75 stand among the ten IoUs."""

BLOCK = 2_000_000
"""Numbers held in memory at a time, of each kind."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Ranked:
    """All detections of one class, best first, and the objects to find."""

    image: NDArray[np.int64]
    """Image of each detection, [D]."""
    right: NDArray[np.bool_]
    """Whether it counts as right, at each IoU, [D, 10]."""
    wrong: NDArray[np.bool_]
    """Whether it counts as wrong; an ignored one is neither, [D, 10]."""
    objects: NDArray[np.int64]
    """Objects in each image, [I]."""
    interpolation: str
    """How the precision is read: a key of `RECALLS`, or "voc-area"."""


def ranked(outcomes: DetectionOutcomes, kind: Literal["bbox", "segm"]) -> tuple[Ranked, ...]:
    """Sort the detections once, so that many resamples can be scored.

    Args:
        outcomes: Detections after matching. Equal scores keep their order, as in pycocotools.
        kind: Boxes or masks.

    Returns:
        One entry per class that has objects; the others do not enter COCO's mean.
    """
    arrays = {name: getattr(outcomes, f"{kind}_{name}") for name in _PARTS}
    order = np.lexsort((-arrays["score"].astype(np.float64), arrays["class"]))  # stable
    image, label = arrays["image"][order].astype(np.int64), arrays["class"][order]
    matched, ignored = arrays["matched"][order], arrays["ignored"][order]  # [D, 10]
    objects = arrays["objects"].astype(np.int64)  # [I, C]
    classes, how = np.flatnonzero(objects.sum(0)), str(outcomes.interpolation)
    start, stop = np.searchsorted(label, classes), np.searchsorted(label, classes, side="right")
    return tuple(
        Ranked(image[a:b], (matched & ~ignored)[a:b], (~matched & ~ignored)[a:b], objects[:, c], how)
        for c, a, b in zip(classes, start, stop, strict=True)
    )


def average_precision(classes: Sequence[Ranked], counts: Counts) -> NDArray[np.float64]:
    """Average precision of resamples.

    Args:
        classes: What `ranked` gave.
        counts: How often each image is in each resample, [W, I]; a row of ones is the data set itself.

    Returns:
        Mean over the classes that have objects in the resample, at IoU .50:.05:.95, [W, 10], percent. Its
        mean over the last axis is AP, its entries `IOU_50` and `IOU_75` are AP50 and AP75.

    Raises:
        ValueError: No image of a resample holds an object.
    """
    total = np.zeros((len(counts), 10))
    present = np.zeros(len(counts), np.int64)
    for one in classes:
        objects = counts @ one.objects  # [W]
        step = max(1, BLOCK // max(1, one.right.size))
        for start in range(0, len(counts), step):
            part = slice(start, start + step)
            total[part] += _of_class(one, counts[part], objects[part])
        present += objects > 0
    if not present.all():
        raise ValueError("a resample holds no object, so it has no average precision")
    return 100 * total / present[:, None]


def _of_class(ranked: Ranked, counts: Counts, objects: Counts) -> NDArray[np.float64]:
    """Mean over recalls of the precision at that recall or beyond, [W, 10]; 0 without objects.

    Copies of an image stand together in the ranking, so a detection simply weighs as often as it is there.
    """
    times = counts[:, ranked.image, None]  # [W, D, 1]
    hits = ranked.right.any(axis=1)  # recall rises at no other detection; K of them
    right = np.cumsum(ranked.right[hits] * times[:, hits], axis=1)  # [W, K, 10]
    wrong = np.cumsum(ranked.wrong * times, axis=1)[:, hits]
    precision = right / np.maximum(right + wrong, 1)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = right / np.maximum(objects, 1)[:, None, None]
    if ranked.interpolation == "voc-area":
        found = (np.diff(recall, axis=1, prepend=0) * best_from_here).sum(axis=1)
    else:
        recalls = RECALLS[ranked.interpolation]
        reached = np.searchsorted(recalls, recall, side="right")  # recalls passed so far
        newly = np.diff(reached, axis=1, prepend=0)
        found = (newly * best_from_here).sum(axis=1) / len(recalls)
    return np.where(objects[:, None] > 0, found, 0)


_PARTS = ("image", "class", "score", "matched", "ignored", "objects")
