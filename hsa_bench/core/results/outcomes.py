"""Per-example outcomes of a run, to and from npz: what paired comparisons are made of."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.files import whole_file


@dataclass(frozen=True)
class ClassificationOutcomes:
    """What the head behind `main_metric` said of each test image, in data set order."""

    example: NDArray[np.str_]
    """Path relative to the data set's root, or index as text, [N]."""
    label: NDArray[np.int64]
    """True class, [N]."""
    prediction: NDArray[np.int64]
    """Predicted class, [N]."""
    score: NDArray[np.float32]
    """Score of the predicted class, [N]; its scale is the task's own."""
    top5: NDArray[np.bool_]
    """Whether the true class is among the five best, [N]."""
    classes: NDArray[np.str_] = field(default_factory=lambda: np.array([], np.str_))
    """Name of each class, [C]; empty in files of before there were any."""


@dataclass(frozen=True)
class DetectionOutcomes:
    """Detections of every test image after matching, enough to recompute AP over any images.

    One group of arrays per kind of match ("bbox", "segm"); rows of `*_image` index `example`.
    """

    example: NDArray[np.str_]
    """File name of each test image, [I]."""
    bbox_image: NDArray[np.int32]
    """Image of each detection, [D]."""
    bbox_class: NDArray[np.int32]
    """Class of each detection, [D]."""
    bbox_score: NDArray[np.float32]
    """Confidence, [D]."""
    bbox_matched: NDArray[np.bool_]
    """Whether it found an object, at IoU .50:.05:.95, [D, 10]."""
    bbox_ignored: NDArray[np.bool_]
    """Whether it counts neither way, [D, 10]."""
    bbox_objects: NDArray[np.int32]
    """Objects to find, per image and class, [I, C]."""
    segm_image: NDArray[np.int32]
    """As `bbox_image`, for masks; empty where the task has none. [D]."""
    segm_class: NDArray[np.int32]
    """As `bbox_class`. [D]."""
    segm_score: NDArray[np.float32]
    """As `bbox_score`. [D]."""
    segm_matched: NDArray[np.bool_]
    """As `bbox_matched`. [D, 10]."""
    segm_ignored: NDArray[np.bool_]
    """As `bbox_ignored`. [D, 10]."""
    segm_objects: NDArray[np.int32]
    """As `bbox_objects`. [I, C]."""
    interpolation: NDArray[np.str_] = field(default_factory=lambda: np.array("coco"))
    """How AP reads the precision, one word: "coco" at 101 recalls, "voc07" at 11, "voc-area" as an area."""
    classes: NDArray[np.str_] = field(default_factory=lambda: np.array([], np.str_))
    """Name of each class, [C]; empty in files of before there were any."""


Outcomes = ClassificationOutcomes | DetectionOutcomes


def save(path: Path, outcomes: Outcomes) -> None:
    """Write outcomes beside their result, whole or not at all."""
    arrays = {f.name: getattr(outcomes, f.name) for f in fields(outcomes)}
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def load(path: Path) -> Outcomes:
    """Read outcomes of either kind.

    Raises:
        ValueError: The file is damaged or holds neither kind; the message names it.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise ValueError(f"{path}: damaged ({type(error).__name__})") from error
    for kind in (ClassificationOutcomes, DetectionOutcomes):
        known = {f.name for f in fields(kind)}
        needed = {f.name for f in fields(kind) if f.default_factory is MISSING}
        if needed <= set(arrays) <= known:
            _check(path, arrays)
            return kind(**arrays)
    raise ValueError(f"{path}: holds {sorted(arrays)}, which are no outcomes of hsa_bench")


def _check(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse arrays of unequal lengths and classes below 0."""
    groups = [
        ("example", "label", "prediction", "score", "top5"),
        *(tuple(f"{kind}_{part}" for part in ("image", "class", "score", "matched", "ignored"))
          for kind in ("bbox", "segm")),
        ("example", "bbox_objects", "segm_objects"),
    ]  # fmt: skip
    for group in groups:
        if len({len(arrays[name]) for name in group if name in arrays}) > 1:
            raise ValueError(
                f"{path}: {', '.join(name for name in group if name in arrays)} differ in length"
            )
    for name in ("label", "bbox_class", "segm_class"):
        if name in arrays and len(arrays[name]) and arrays[name].min() < 0:
            raise ValueError(f"{path}: {name} has a class below 0")
