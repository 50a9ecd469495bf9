"""VOC's average precision for given detections, by Detectron2's rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval_tasks._detection.scoring.voc_matching import Detections, Objects, match
from hsa_bench.core.data.detection.voc_file import read_voc
from hsa_bench.core.data.detection.voc_list import image_list
from hsa_bench.core.results.average_precision import IOU_50, IOU_75, average_precision, ranked
from hsa_bench.core.results.outcomes import DetectionOutcomes


def score(
    detections: Sequence[Mapping[str, Any]] | str | Path,
    root: str | Path,
    split: str = "test",
    use_07_metric: bool = True,
) -> dict[str, float]:
    """VOC's numbers for given detections.

    Args:
        detections: Rows of `image_id`, `category`, `score` and `bbox` as x0, y0, x1, y1 with x0, y0 counted
            from 0, or a JSON file of them. Nothing is rounded; of equal scores the earlier goes first.
        root: The folder that holds `Annotations/` and `ImageSets/`; no picture is read.
        split: Name of the list of images.
        use_07_metric: Precision at eleven recalls, else the area under the curve.

    Returns:
        `AP` over IoU .50:.05:.95, `AP50` and `AP75` in percent, and `classes`, the number of classes with
        objects, over which the mean is taken.

    Raises:
        DataError: An annotation is missing or broken.
        ValueError: A detection is in an image that the list does not name, or of an unknown class.
    """
    rows = json.loads(Path(detections).read_bytes()) if isinstance(detections, str | Path) else detections
    ids = image_list(Path(root), split)
    files = [read_voc(Path(root) / "Annotations" / f"{one}.xml") for one in ids]
    place = {name: i for i, name in enumerate(ids)}
    names = sorted({one.name for file in files for one in file.objects} | {row["category"] for row in rows})
    label = {name: i for i, name in enumerate(names)}
    for row in rows:
        if row["image_id"] not in place:
            raise ValueError(
                f"a detection is in image {row['image_id']}, which the list {split} does not name"
            )
    every = [(i, one) for i, file in enumerate(files) for one in file.objects]
    objects = Objects(
        image=np.array([i for i, _ in every], dtype=np.int64),
        label=np.array([label[one.name] for _, one in every], dtype=np.int64),
        corners=np.array([one.corners for _, one in every], dtype=np.float64).reshape(-1, 4),
        difficult=np.array([one.difficult for _, one in every], dtype=np.bool_),
    )
    corners = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    found = Detections(
        image=np.array([place[row["image_id"]] for row in rows], dtype=np.int64),
        label=np.array([label[row["category"]] for row in rows], dtype=np.int64),
        corners=corners + np.array([1.0, 1.0, 0.0, 0.0]),
        score=np.array([row["score"] for row in rows], dtype=np.float64),
    )
    return precisions(match(found, objects, ids, len(names), "voc07" if use_07_metric else "voc-area"))


def precisions(outcomes: DetectionOutcomes) -> dict[str, float]:
    """AP, AP50 and AP75 in percent, and the number of classes with objects."""
    classes = ranked(outcomes, "bbox")
    if not classes:
        raise ValueError("no test image has an object that is not difficult")
    each = average_precision(classes, np.ones((1, len(outcomes.example)), dtype=np.int64))[0]  # [10]
    return {
        "AP": float(each.mean()),
        "AP50": float(each[IOU_50]),
        "AP75": float(each[IOU_75]),
        "classes": len(classes),
    }
