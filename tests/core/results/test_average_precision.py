"""AP from stored matches, against pycocotools and a case worked by hand."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hsa_bench.core.results.average_precision import IOU_50, IOU_75, average_precision, ranked
from hsa_bench.core.results.outcomes import DetectionOutcomes
from tests.support import vectors
from tests.support.coco_case import random_case

Kind = Literal["bbox", "segm"]


def outcomes(
    image: Sequence[int],
    label: Sequence[int],
    score: Sequence[float],
    matched: Any,
    ignored: Any,
    objects: Any,
) -> DetectionOutcomes:
    """Outcomes whose masks are their boxes."""
    arrays = {
        "image": np.array(image, np.int32),
        "class": np.array(label, np.int32),
        "score": np.array(score, np.float32),
        "matched": np.array(matched, np.bool_).reshape(-1, 10),
        "ignored": np.array(ignored, np.bool_).reshape(-1, 10),
        "objects": np.array(objects, np.int32),
    }
    names = np.array([str(i) for i in range(len(arrays["objects"]))])
    both = {f"{kind}_{part}": array for kind in ("bbox", "segm") for part, array in arrays.items()}
    return DetectionOutcomes(example=names, **both)


def at_every_iou(flags: Sequence[bool]) -> Any:
    return np.repeat(np.array(flags)[:, None], 10, axis=1)


def test_precision_is_read_at_101_recalls_of_its_upper_envelope() -> None:
    # Right, wrong, right of 4 objects: precision 1 up to recall .25, then 2/3 up to .5, then 0.
    found = outcomes(
        [0, 0, 1], [0, 0, 0], [0.9, 0.8, 0.7], at_every_iou([True, False, True]), at_every_iou([False] * 3),
        [[1], [3]],
    )  # fmt: skip

    ap = average_precision(ranked(found, "bbox"), np.ones((1, 2), np.int64))[0]

    assert ap == pytest.approx(np.full(10, 100 * (26 * 1 + 25 * 2 / 3) / 101))


def test_an_ignored_detection_counts_neither_way() -> None:
    ignored = at_every_iou([True, False])
    found = outcomes([0, 0], [0, 0], [0.9, 0.8], at_every_iou([False, True]), ignored, [[1]])

    assert average_precision(ranked(found, "bbox"), np.ones((1, 1), np.int64))[0] == pytest.approx(
        np.full(10, 100.0)
    )


def test_a_class_without_objects_in_the_resample_leaves_the_mean() -> None:
    flags = at_every_iou([True, False])
    found = outcomes([0, 1], [0, 1], [0.9, 0.8], flags, at_every_iou([False, False]), [[1, 0], [0, 1]])
    classes = ranked(found, "bbox")

    assert average_precision(classes, np.array([[1, 1], [2, 0]]))[:, 0] == pytest.approx([50, 100])


def test_a_resample_without_objects_is_refused() -> None:
    none = np.zeros((0, 10), np.bool_)
    found = outcomes([], [], [], none, none, [[1], [0]])
    classes = ranked(found, "bbox")

    assert average_precision(classes, np.array([[1, 0]]))[0] == pytest.approx(np.zeros(10))
    with pytest.raises(ValueError, match="no object"):
        average_precision(classes, np.array([[1, 0], [0, 2]]))


def test_resamples_are_scored_alike_one_by_one_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image, label = rng.integers(5, size=40).tolist(), rng.integers(3, size=40).tolist()
    flags = rng.random((40, 10))
    found = outcomes(image, label, rng.random(40).tolist(), flags < 0.5, flags > 0.9, np.ones((5, 3)))
    classes, counts = ranked(found, "bbox"), rng.poisson(1, size=(9, 5)) + 1

    one_by_one = np.concatenate([average_precision(classes, row[None]) for row in counts])

    assert average_precision(classes, counts) == pytest.approx(one_by_one)
    monkeypatch.setattr("hsa_bench.core.results.average_precision.BLOCK", 300)
    assert average_precision(classes, counts) == pytest.approx(one_by_one)


def test_two_hundred_resamples_of_some_thousand_detections_take_about_two_seconds() -> None:
    rng = np.random.default_rng(0)
    detections, images, classes = 4000, 200, 80
    found = outcomes(
        rng.integers(images, size=detections).tolist(),
        rng.integers(classes, size=detections).tolist(),
        rng.random(detections).tolist(),
        rng.random((detections, 10)) < 0.4,
        np.zeros((detections, 10)),
        rng.integers(3, size=(images, classes)),
    )
    began = time.process_time()

    average_precision(ranked(found, "bbox"), rng.poisson(1, size=(200, images)))

    assert time.process_time() - began < 6  # about 1 on an idle core


def scored(truth: COCO, detections: list[dict[str, Any]], kind: Kind) -> COCOeval:
    rows = [dict(row) for row in detections]
    if kind == "segm":
        for row in rows:
            del row["bbox"]
            size = truth.imgs[row["image_id"]]
            polygons = mask.frPyObjects(row["segmentation"], size["height"], size["width"])
            row["segmentation"] = mask.merge(polygons)
    judge = COCOeval(truth, truth.loadRes(rows), kind)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge


def stored(judge: COCOeval) -> DetectionOutcomes:
    """What pycocotools matched in objects of every size, 100 detections an image."""
    everything = judge.params.areaRng[0]
    places = {image: row for row, image in enumerate(judge.params.imgIds)}
    classes = {category: column for column, category in enumerate(judge.params.catIds)}
    objects = np.zeros((len(places), len(classes)), np.int32)
    image, label, score, matched, ignored = [], [], [], [], []
    for one in filter(None, judge.evalImgs):
        if one["aRng"] != everything:
            continue
        place, column = places[one["image_id"]], classes[one["category_id"]]
        objects[place, column] = int((np.asarray(one["gtIgnore"]) == 0).sum())
        image += [place] * len(one["dtScores"])
        label += [column] * len(one["dtScores"])
        score += list(one["dtScores"])
        matched.append(np.asarray(one["dtMatches"]).T != 0)
        ignored.append(np.asarray(one["dtIgnore"]).T != 0)
    return outcomes(image, label, score, np.concatenate(matched), np.concatenate(ignored), objects)


Case = tuple[COCO, list[dict[str, Any]]]


def indexed(truth: dict[str, Any]) -> COCO:
    index = COCO()
    index.dataset = truth
    index.createIndex()
    return index


@pytest.fixture(params=["made", "real"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "real":
        folder: Path = request.getfixturevalue("real_images")
        truth = json.loads((folder / "coco-mini/annotations/instances_val2017.json").read_text())
        return indexed(truth), json.loads((vectors.VECTORS / "coco_detections.json").read_text())
    detections, truth = random_case(0)
    for one in truth["annotations"]:
        one["id"] += 1  # pycocotools takes a match with object 0 for none
    return indexed(truth), detections


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_ap_of_all_images_once_is_that_of_pycocotools(case: Case, kind: Kind) -> None:
    truth, detections = case
    judge = scored(truth, detections, kind)
    found = stored(judge)

    ap = average_precision(ranked(found, kind), np.ones((1, len(found.example)), np.int64))[0]

    assert 5 < ap.mean() < 95
    assert [ap.mean(), ap[IOU_50], ap[IOU_75]] == pytest.approx(100 * judge.stats[:3], abs=1e-9)


def test_pycocotools_gives_the_reference_numbers(real_images: Path) -> None:
    truth = COCO(str(real_images / "coco-mini/annotations/instances_val2017.json"))
    detections = json.loads((vectors.VECTORS / "coco_detections.json").read_text())
    expected = vectors.expected("coco_val2017")

    for kind in ("bbox", "segm"):
        ap = 100 * scored(truth, detections, kind).stats[:3]
        assert ap == pytest.approx([expected[kind][name] for name in ("AP", "AP50", "AP75")], abs=1e-9)


def test_ap_of_a_resample_is_that_of_pycocotools_on_copied_images(case: Case) -> None:
    truth, detections = case
    found = stored(scored(truth, detections, "bbox"))
    rng, images = np.random.default_rng(0), len(found.example)
    counts = np.bincount(rng.integers(images, size=images), minlength=images)

    expected = scored(*copied(truth, detections, counts.tolist()), "bbox").stats[0] * 100

    assert average_precision(ranked(found, "bbox"), counts[None]).mean() == pytest.approx(expected, abs=1e-9)


def copied(
    truth: COCO, detections: list[dict[str, Any]], counts: list[int]
) -> tuple[COCO, list[dict[str, Any]]]:
    """The data set with each image as often as the resample has it, under new ids in the old order."""
    images, objects, found = [], [], []
    for image, count in zip(sorted(truth.imgs), counts, strict=True):
        for copy in range(count):
            new = image * 1000 + copy
            images.append({**truth.imgs[image], "id": new})
            for annotation in truth.imgToAnns[image]:
                objects.append({**annotation, "id": len(objects) + 1, "image_id": new})
            found += [{**row, "image_id": new} for row in detections if row["image_id"] == image]
    clone = {"images": images, "annotations": objects, "categories": truth.dataset["categories"]}
    return indexed(clone), found
