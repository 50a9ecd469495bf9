"""A detector's findings against the objects of a VOC split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval_tasks._detection.prediction import StoredDetections
from eval_tasks._detection.scoring.voc_matching import Detections, Interpolation, Objects, match
from hsa_bench.core.data.detection.detection_data import DetectionSplit
from hsa_bench.core.results.outcomes import DetectionOutcomes

FROM_ONE = np.array([1.0, 1.0, 0.0, 0.0])
"""VOC counts xmin and ymin from 1."""


def outcomes(
    findings: list[StoredDetections], split: DetectionSplit, interpolation: Interpolation
) -> DetectionOutcomes:
    """Match findings, rounded as Detectron2's evaluator writes them: scores to 3 decimals, boxes to 1."""
    label = {category.id: i for i, category in enumerate(split.categories)}
    every = [(i, one) for i, objects in enumerate(split.objects) for one in objects]
    boxes = np.array([one.bbox for _, one in every], dtype=np.float64).reshape(-1, 4)  # x, y, w, h
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    objects = Objects(
        image=np.array([i for i, _ in every], dtype=np.int64),
        label=np.array([label[one.category_id] for _, one in every], dtype=np.int64),
        corners=corners + FROM_ONE,
        difficult=np.array([one.difficult for _, one in every], dtype=np.bool_),
    )
    counts = [len(one.scores) for one in findings]
    found = Detections(
        image=np.repeat([one.image for one in findings], counts).astype(np.int64),
        label=_joined([one.labels for one in findings], 0).astype(np.int64),
        corners=np.round(_joined([one.boxes for one in findings], 0, 4) + FROM_ONE, 1),
        score=np.round(_joined([one.scores for one in findings], 0), 3),
    )
    return match(found, objects, list(split.images.names), len(split.categories), interpolation)


def _joined(parts: list[NDArray[np.float32]] | list[NDArray[np.int64]], *empty: int) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(empty), *parts])
