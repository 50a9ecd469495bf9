"""PASCAL VOC's matching of detections with objects (Everingham et al. 2010), as Detectron2 computes it.

A detection looks at the object of its class that it overlaps most, pixels counted inclusively. It is right if
the overlap exceeds the threshold and no better detection has found that object; it counts neither way if the
object is marked as difficult, and is wrong otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.results.outcomes import DetectionOutcomes

IOUS = np.arange(50, 100, 5) / 100

Interpolation = Literal["voc07", "voc-area"]


@dataclass(frozen=True)
class Boxes:
    """Boxes of many images."""

    image: NDArray[np.int64]
    """[N]."""
    label: NDArray[np.int64]
    """Class, [N]."""
    corners: NDArray[np.float64]
    """[N, 4] as xmin, ymin, xmax, ymax, counted from 1, the last pixel included."""


@dataclass(frozen=True)
class Objects(Boxes):
    """What there is to find."""

    difficult: NDArray[np.bool_]
    """[N]."""


@dataclass(frozen=True)
class Detections(Boxes):
    """What was found."""

    score: NDArray[np.float64]
    """[N]."""


def match(
    found: Detections, objects: Objects, examples: list[str], classes: int, interpolation: Interpolation
) -> DetectionOutcomes:
    """Match every detection at ten overlaps.

    Args:
        found: Of equal scores, the earlier goes first.
        objects: Of the same images and classes.
        examples: Name of each image.
        classes: How many there are.
        interpolation: How AP shall read the precision.
    """
    order = np.argsort(-found.score, kind="stable")
    image, label, corners = found.image[order], found.label[order], found.corners[order]
    matched = np.zeros((len(order), len(IOUS)), dtype=np.bool_)
    ignored = matched.copy()
    there = _by_place(objects.image, objects.label, classes)
    for place, rows in _by_place(image, label, classes).items():
        if place in there:
            own = there[place]
            hits = _matched(corners[rows], objects.corners[own], objects.difficult[own])
            matched[rows], ignored[rows] = hits
    counts = np.zeros((len(examples), classes), dtype=np.int32)
    np.add.at(counts, (objects.image[~objects.difficult], objects.label[~objects.difficult]), 1)
    none = np.zeros(0, dtype=np.int32)
    return DetectionOutcomes(
        example=np.array(examples),
        interpolation=np.array(interpolation),
        bbox_image=image.astype(np.int32),
        bbox_class=label.astype(np.int32),
        bbox_score=found.score[order].astype(np.float32),
        bbox_matched=matched,
        bbox_ignored=ignored,
        bbox_objects=counts,
        segm_image=none,
        segm_class=none,
        segm_score=none.astype(np.float32),
        segm_matched=matched[:0],
        segm_ignored=ignored[:0],
        segm_objects=counts[:, :0],
    )


def _matched(
    found: NDArray[np.float64], objects: NDArray[np.float64], difficult: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Detections of one class in one image, best first: whether each is right, and whether it is ignored."""
    overlap = _overlap(found, objects)  # [D, G]
    nearest = overlap.argmax(axis=1)
    enough = overlap.max(axis=1)[:, None] > IOUS  # [D, 10]
    ignored = enough & difficult[nearest][:, None]
    right = np.zeros_like(enough)
    for step in range(len(IOUS)):
        candidates = np.flatnonzero(enough[:, step] & ~ignored[:, step])
        _, first = np.unique(nearest[candidates], return_index=True)
        right[candidates[first], step] = True
    return right, ignored


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of each with each, [A, B]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.maximum(high - low + 1, 0).prod(axis=2)
    area_a, area_b = ((one[:, 2:] - one[:, :2] + 1).prod(axis=1) for one in (a, b))
    return both / (area_a[:, None] + area_b[None] - both)


def _by_place(
    image: NDArray[np.int64], label: NDArray[np.int64], classes: int
) -> dict[int, NDArray[np.int64]]:
    """Rows of each image and class, in their order."""
    place = image * classes + label
    order = np.argsort(place, kind="stable")
    places, start = np.unique(place[order], return_index=True)
    return dict(zip(places.tolist(), np.split(order, start[1:]), strict=True)) if len(order) else {}
