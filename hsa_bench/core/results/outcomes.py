"""Per-example outcomes of a run, to and from npz: what paired comparisons are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.files import whole_file
from hsa_bench.core.results.npz import read_arrays


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


KINDS = {
    "example": ("U", 1), "label": ("iu", 1), "prediction": ("iu", 1), "score": ("fiu", 1), "top5": ("b", 1),
    "classes": ("U", 1), "interpolation": ("U", 0), "image": ("iu", 1), "class": ("iu", 1),
    "matched": ("b", 2), "ignored": ("b", 2), "objects": ("iu", 2),
}  # fmt: skip
"""By the last word of an array's name: NumPy's letters for its kind, and how many axes it has."""

MATCHED = ("coco", "voc07", "voc-area")
MOST_CLASSES = 100_000
"""Where the file does not name them."""
MOST_OBJECTS = 1_000_000
"""Of a class in an image."""
IOUS = 10
"""At which detections are matched."""
EMPTY = np.zeros(0)


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
    arrays = read_arrays(path)
    for kind in (ClassificationOutcomes, DetectionOutcomes):
        known = {f.name for f in fields(kind)}
        needed = {f.name for f in fields(kind) if f.default_factory is MISSING}
        if needed <= set(arrays) <= known:
            if fault := _fault(arrays):
                raise ValueError(f"{path}: {fault}")
            return kind(**arrays)
    raise ValueError(f"{path}: holds {sorted(arrays)}, which are no outcomes of hsa_bench")


def _fault(arrays: dict[str, NDArray[Any]]) -> str:
    """Why arrays are no outcomes: kinds, lengths, or numbers that point nowhere; empty if they are."""
    for name, array in arrays.items():
        kinds, axes = KINDS[name.rpartition("_")[2]]
        if array.size and (array.dtype.kind not in kinds or array.ndim != axes):
            return f"{name} is {array.dtype} with {array.ndim} axes"
    groups = [
        ("example", "label", "prediction", "score", "top5"),
        *(tuple(f"{kind}_{part}" for part in ("image", "class", "score", "matched", "ignored"))
          for kind in ("bbox", "segm")),
        ("example", "bbox_objects", "segm_objects"),
    ]  # fmt: skip
    for group in groups:
        if len({arrays[name].shape[:1] for name in group if name in arrays}) > 1:
            return f"{', '.join(name for name in group if name in arrays)} differ in length"
    return next(filter(None, _astray(arrays)), "")


def _astray(arrays: dict[str, NDArray[Any]]) -> Iterator[str]:
    """Say which numbers are outside of what they count."""
    named = len(arrays.get("classes", ())) or MOST_CLASSES
    limits = {"label": named, "prediction": named}
    for kind in ("bbox", "segm"):
        if f"{kind}_objects" in arrays:
            classes = arrays[f"{kind}_objects"].shape[1:] or (0,)
            limits |= {f"{kind}_image": len(arrays["example"]), f"{kind}_class": classes[0]}
            limits[f"{kind}_objects"] = MOST_OBJECTS
    for name, end in limits.items():
        if arrays.get(name, EMPTY).size and not 0 <= arrays[name].min() <= arrays[name].max() < end:
            what = "class" if name in {"label", "prediction"} or name.endswith("class") else "number"
            yield f"{name} has a {what} outside of 0 to {end - 1}"
    for name, array in arrays.items():
        if name.endswith("score") and not np.isfinite(array).all():
            yield f"{name} is not finite"
        if name.endswith(("matched", "ignored")) and array.size and array.shape[1] != IOUS:
            yield f"{name} needs {IOUS} columns"
    if "interpolation" in arrays and str(arrays["interpolation"]) not in MATCHED:
        yield f"interpolation is none of {', '.join(MATCHED)}"
