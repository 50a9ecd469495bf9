"""Few labelled images of VOC 2007, drawn as VISSL and PCL draw them, alike for every backbone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hsa_bench.core.data.detection.voc_labels import ABSENT, PRESENT
from hsa_bench.core.data.image_set import Labels
from hsa_bench.core.seed import generator

Rows = NDArray[np.int64]


def own_images(labels: Labels, c: int, k: int, draw: int) -> Rows:
    """Some k images that show a class and, for each other class, k that do not, as they stand in train.

    Every class has images of its own; those whose only objects of it are difficult are none of them
    (facebookresearch/vissl @09270ed extra_scripts/create_low_shot_samples.py:18-48).

    Args:
        labels: `PRESENT`, `IGNORED` or `ABSENT`, [N, C].
        c: The class. It must have so many of both.
        k: How many.
        draw: Number of the draw.
    """
    others = (labels.shape[1] - 1) * k
    shown = _drawn(labels[:, c] == PRESENT, k, "own", k, draw, c, "present")
    return np.sort(
        np.concatenate([shown, _drawn(labels[:, c] == ABSENT, others, "own", k, draw, c, "absent")])
    )


def shared_images(labels: Labels, classes: Sequence[int], k: int, draw: int) -> Rows:
    """Some k images of each class, [C x k], one class after the other: all of them train every class.

    An image drawn for two of the classes it shows stands here twice, and counts twice (salesforce/PCL
    @964da1f voc.py:309-321).

    Args:
        labels: `PRESENT`, `IGNORED` or `ABSENT`, [N, C].
        classes: To draw for. Each must have so many.
        k: How many.
        draw: Number of the draw.
    """
    return np.concatenate([_drawn(labels[:, c] == PRESENT, k, "shared", k, draw, c) for c in classes])


def offered(
    train: Labels, asked: Labels, ks: Sequence[int], others: int
) -> tuple[NDArray[np.int64], list[int]]:
    """Classes that offer the smallest k, and every k that all of these offer.

    Args:
        train: Labels of the training images, [N, C].
        asked: Of the test images, [I, C].
        ks: Images of a class, ascending.
        others: Images without it, for each with it.

    Raises:
        ValueError: No class offers the smallest.
    """
    classes = usable(train, asked, ks[0], max(1, others * ks[0]))
    shown, absent = ((train[:, classes] == label).sum(axis=0).min() for label in (PRESENT, ABSENT))
    return classes, [k for k in ks if k <= shown and others * k <= absent]


def usable(train: Labels, asked: Labels, positives: int, negatives: int) -> NDArray[np.int64]:
    """Classes with so many training images of both kinds and any to find in the test: of all VOC, all 20.

    Args:
        train: Labels of the training images, [N, C].
        asked: Of the test images, [I, C].
        positives: That show the class.
        negatives: That do not.

    Raises:
        ValueError: There is no such class.
    """
    enough = ((train == PRESENT).sum(0) >= positives) & ((train == ABSENT).sum(0) >= negatives)
    found = np.flatnonzero(enough & (asked == PRESENT).any(0))
    if not len(found):
        raise ValueError(
            f"of {len(train)} training images, no class has {positives} that show it, {negatives} that do "
            "not and a test image to find; give more images"
        )
    return found


def _drawn(among: NDArray[np.bool_], count: int, *purpose: str | int) -> Rows:
    rows = np.flatnonzero(among)
    return rows[torch.randperm(len(rows), generator=generator(0, "voc-lowshot", *purpose)).numpy()[:count]]
