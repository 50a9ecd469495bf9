"""COCO's average precision by pycocotools, and the matches behind it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pycocotools.mask as run_lengths
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pydantic import TypeAdapter

from hsa_bench.core.data.detection.coco_file import Instance, Photo
from hsa_bench.core.data.detection.masks import check_run_lengths, outline
from hsa_bench.core.results.outcomes import DetectionOutcomes

Kind = Literal["bbox", "segm"]

_INSTANCE = TypeAdapter(Instance)
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""The first six numbers of pycocotools' summary."""


def evaluate(kind: Kind, detections: Sequence[Mapping[str, Any]], truth: Mapping[str, Any]) -> COCOeval:
    """Match detections with objects.

    Args:
        kind: What has to overlap, boxes or masks.
        detections: Rows in COCO's results format; neither they nor `truth` are changed. With masks, a row's
            area is that of its box where it has one, as in pycocotools; Detectron2 hands in rows without.
        truth: The content of an annotation file. A missing area is computed; with masks an object without one
            is a crowd of its box, where pycocotools ends in an error.

    Raises:
        ValueError: A detection names a picture that `truth` does not list, or its run lengths do not fill it.
    """
    photos = {photo["id"]: photo for photo in truth["images"]}
    for row in detections:
        if row["image_id"] not in photos:
            raise ValueError(f"a detection is in image {row['image_id']}, which the annotations do not list")
    for what, rows in (("a detection", detections), ("an object", truth["annotations"])):
        for row in rows if kind == "segm" else ():
            if photo := photos.get(row["image_id"]):
                named = f"{what} in image {row['image_id']}"
                check_run_lengths(row.get("segmentation"), photo["width"], photo["height"], named)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        evaluation = COCOeval(
            _coco(truth, [_asked(row, kind, photos.get(row["image_id"])) for row in truth["annotations"]]),
            _coco(truth, [_found(row, kind, photos[row["image_id"]]) for row in detections]),
            kind,
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def average_precisions(evaluation: COCOeval) -> dict[str, float]:
    """AP in percent by name; one that no object defines is left out."""
    stats = zip(METRICS, evaluation.stats, strict=False)
    return {name: 100 * float(value) for name, value in stats if value >= 0}


def _coco(truth: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> COCO:
    coco = COCO()
    # numbered from 1, as pycocotools takes a match with object 0 for no match
    numbered = [{"iscrowd": 0, **row, "id": number} for number, row in enumerate(rows, start=1)]
    coco.dataset = {"images": truth["images"], "categories": truth["categories"], "annotations": numbered}
    coco.createIndex()
    return coco


def _asked(row: Mapping[str, Any], kind: Kind, photo: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """An object with all that pycocotools needs."""
    if photo is None:
        return row
    asked = dict(row)
    if asked.get("area") is None:
        instance = _INSTANCE.validate_python(asked)
        asked["area"] = instance.sized_in(Photo(photo["id"], "", photo["width"], photo["height"]))
    if kind == "segm" and not any(asked.get("segmentation") or ()):
        asked.update(segmentation=[outline(asked["bbox"])], iscrowd=1)
    return asked


def _found(row: Mapping[str, Any], kind: Kind, photo: Mapping[str, Any]) -> dict[str, Any]:
    """A detection with its area, and with its mask as run lengths where masks are compared."""
    found = dict(row)
    if kind == "segm":
        mask = row["segmentation"]
        if isinstance(mask, list) or isinstance(mask["counts"], list):
            mask = run_lengths.frPyObjects(mask, photo["height"], photo["width"])
        found["segmentation"] = run_lengths.merge(mask) if isinstance(mask, list) else mask
    else:
        found.pop("segmentation", None)
    box = row.get("bbox")
    found["area"] = box[2] * box[3] if box else float(run_lengths.area(found["segmentation"]))
    return found


def outcomes(examples: Mapping[int, str], bbox: COCOeval, segm: COCOeval | None = None) -> DetectionOutcomes:
    """The matches of all sizes, at most 100 detections an image and class.

    Args:
        examples: Name of each test image by its id.
        bbox: Boxes after `evaluate`.
        segm: Masks after `evaluate`; None for a task of boxes.
    """
    images = sorted(examples)
    return DetectionOutcomes(
        example=np.array([examples[number] for number in images]),
        **_matches("bbox", bbox, images),
        **(_no_matches("segm", len(images)) if segm is None else _matches("segm", segm, images)),
    )


def _no_matches(kind: Kind, images: int) -> dict[str, NDArray[Any]]:
    """The arrays of a kind that a task does not have."""
    none = np.zeros(0)
    return {
        f"{kind}_image": none.astype(np.int32),
        f"{kind}_class": none.astype(np.int32),
        f"{kind}_score": none.astype(np.float32),
        f"{kind}_matched": np.zeros((0, 10), dtype=np.bool_),
        f"{kind}_ignored": np.zeros((0, 10), dtype=np.bool_),
        f"{kind}_objects": np.zeros((images, 0), dtype=np.int32),
    }


def _matches(kind: Kind, evaluation: COCOeval, images: list[int]) -> dict[str, NDArray[Any]]:
    categories = list(evaluation.params.catIds)
    objects = np.zeros((len(images), len(categories)), dtype=np.int32)
    column = {number: i for i, number in enumerate(categories)}
    row = {number: i for i, number in enumerate(images)}
    every_size = evaluation.params.areaRng[0]
    cells = [cell for cell in evaluation.evalImgs if cell and cell["aRng"] == every_size]
    for cell in cells:
        counted = np.count_nonzero(np.asarray(cell["gtIgnore"]) == 0)
        objects[row[cell["image_id"]], column[cell["category_id"]]] = counted
    found = [len(cell["dtScores"]) for cell in cells]
    steps = len(evaluation.params.iouThrs)
    empty = np.zeros((steps, 0))
    return {
        f"{kind}_image": np.repeat([row[c["image_id"]] for c in cells], found).astype(np.int32),
        f"{kind}_class": np.repeat([column[c["category_id"]] for c in cells], found).astype(np.int32),
        f"{kind}_score": np.concatenate([[], *(c["dtScores"] for c in cells)]).astype(np.float32),
        f"{kind}_matched": np.concatenate([empty, *(c["dtMatches"] for c in cells)], axis=1).T > 0,
        f"{kind}_ignored": np.concatenate([empty, *(c["dtIgnore"] for c in cells)], axis=1).T > 0,
        f"{kind}_objects": objects,
    }
