from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval_tasks._detection.scoring.coco import average_precisions, evaluate, outcomes
from eval_tasks.coco import score
from hsa_bench.core.results import outcomes as stored
from hsa_bench.core.results.average_precision import IOU_50, IOU_75, average_precision, ranked
from tests.support import vectors
from tests.support.coco_case import box, in_image, random_case, truth

CAT = in_image(1, 3, **box(10, 10, 40, 40))
DOG = in_image(2, 8, **box(60, 20, 20, 20))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_scores_of_the_reference_detections_are_those_of_pycocotools(real_images: Path, kind: str) -> None:
    expected = vectors.expected("coco_val2017")[kind]
    annotations = real_images / "coco-mini" / "annotations" / "instances_val2017.json"

    scores = score(vectors.VECTORS / "coco_detections.json", annotations)

    assert {name: scores[f"{kind}/{name}"] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_finding_everything_exactly_scores_100_and_sizes_without_objects_are_left_out() -> None:
    found = [{**CAT, "score": 0.9}, {**DOG, "score": 0.8}]

    scores = score(found, truth([CAT, DOG]))

    # 40 x 40 px is medium, 20 x 20 small, nothing is large
    complete = dict.fromkeys(["AP", "AP50", "AP75", "APs", "APm"], 100.0)
    assert scores == pytest.approx(
        {f"{k}/{name}": v for k in ("bbox", "segm") for name, v in complete.items()}
    )


def test_iou_decides_at_which_thresholds_a_detection_counts() -> None:
    shifted = in_image(1, 3, **box(20, 10, 40, 40), score=0.9)  # IoU 30 / 50 = 0.6

    scores = score([shifted], truth([CAT]))

    assert scores["bbox/AP50"] == pytest.approx(100)
    assert scores["bbox/AP75"] == 0
    assert scores["bbox/AP"] == pytest.approx(30)  # .50, .55, .60 of ten thresholds


def test_a_wrong_detection_before_the_right_one_halves_the_precision() -> None:
    wrong = in_image(1, 3, **box(100, 90, 40, 40), score=0.9)

    assert score([wrong, {**CAT, "score": 0.5}], truth([CAT]))["bbox/AP"] == pytest.approx(50)


def test_detections_inside_a_crowd_count_neither_way() -> None:
    crowd = {**in_image(1, 3, **box(100, 50, 90, 90)), "iscrowd": 1}
    inside = [in_image(1, 3, **box(110 + 20 * i, 60, 20, 20), score=0.95) for i in range(3)]

    scores = score([*inside, {**CAT, "score": 0.5}], truth([CAT, crowd]))

    assert scores["bbox/AP"] == pytest.approx(100)
    assert scores["segm/AP"] == pytest.approx(100)


def test_a_detection_in_an_image_without_objects_is_wrong() -> None:
    stray = in_image(2, 3, **box(10, 10, 40, 40), score=0.9)

    assert score([stray, {**CAT, "score": 0.5}], truth([CAT]))["bbox/AP"] == pytest.approx(50)


def test_objects_numbered_from_0_are_found_too() -> None:
    """`truth` numbers from 0; pycocotools alone takes a match with object 0 for none."""
    assert score([{**CAT, "score": 0.9}], truth([CAT]))["bbox/AP"] == pytest.approx(100)


def test_finding_nothing_scores_0() -> None:
    scores = score([], truth([CAT, DOG]))

    assert scores == {f"bbox/{name}": 0.0 for name in ("AP", "AP50", "AP75", "APs", "APm")}


def test_boxes_alone_are_scored_without_masks() -> None:
    bare = {key: value for key, value in CAT.items() if key != "segmentation"}

    assert {name.split("/")[0] for name in score([{**bare, "score": 0.9}], truth([CAT]))} == {"bbox"}


def test_masks_may_be_run_lengths_written_out_or_packed() -> None:
    counts = [10 * 150 + 10, *([40, 110] * 39), 40, 150 * 200 - (49 * 150 + 50)]
    written = {"size": [150, 200], "counts": counts}
    import pycocotools.mask as run_lengths

    packed = run_lengths.frPyObjects(written, 150, 200)
    for mask in (written, packed, {**packed, "counts": packed["counts"].decode()}):
        row = in_image(1, 3, segmentation=mask, bbox=CAT["bbox"], score=0.9)
        assert score([row], truth([CAT]))["segm/AP"] == pytest.approx(100)


def test_files_are_read_and_nothing_given_is_changed(tmp_path: Path) -> None:
    found, objects = [{**CAT, "score": 0.9}], truth([CAT])
    before = copy.deepcopy((found, objects))
    (tmp_path / "found.json").write_text(json.dumps(found))
    (tmp_path / "truth.json").write_text(json.dumps(objects))

    assert score(tmp_path / "found.json", str(tmp_path / "truth.json")) == score(found, objects)
    assert (found, objects) == before


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [150, 200], "counts": "zzzz"},
        {"size": [150, 200], "counts": [1, 2]},
        {"size": [-1, -1], "counts": [1]},
        {"size": [10, 20], "counts": [200]},
        {"size": [150, 200]},
        {"size": "x", "counts": "04"},
    ],
)
@pytest.mark.parametrize("where", ["a detection", "an object"])
def test_run_lengths_that_pycocotools_would_overrun_are_refused(mask: dict[str, Any], where: str) -> None:
    good = in_image(1, 3, **box(10, 10, 40, 30))
    odd = {**good, "segmentation": mask}
    found, objects = ([good], [odd]) if where == "an object" else ([odd], [good])

    with pytest.raises(ValueError, match=rf"{where} in image 1: its "):
        score([{**one, "score": 0.5} for one in found], truth(objects))


@pytest.mark.parametrize("nothing", [[], [[]], {}, None, "missing"])
def test_objects_without_mask_or_area_are_scored_by_their_boxes(nothing: Any) -> None:
    bare = {**DOG, "segmentation": nothing}
    if nothing == "missing":
        del bare["segmentation"]
    objects = truth([CAT, bare])
    for one in objects["annotations"]:
        del one["area"]

    scores = score([{**one, "score": 0.9} for one in (CAT, DOG)], objects)

    assert (scores["bbox/AP"], scores["segm/AP"]) == (pytest.approx(100), pytest.approx(100))
    assert score([{**CAT, "score": 0.9}], objects)["bbox/AP"] == pytest.approx(50)
    assert score([{**CAT, "score": 0.9}], objects)["segm/AP"] == pytest.approx(
        100
    )  # the dog has no mask to find


def test_a_detection_in_an_unknown_image_is_refused() -> None:
    with pytest.raises(ValueError, match="image 7, which the annotations do not list"):
        score([{**CAT, "image_id": 7, "score": 0.9}], truth([CAT]))


@pytest.mark.parametrize("seed", [0, 1])
def test_average_precision_comes_back_from_the_stored_matches(tmp_path: Path, seed: int) -> None:
    found, objects = random_case(seed)
    runs = {kind: evaluate(kind, found, objects) for kind in ("bbox", "segm")}

    stored.save(tmp_path / "run.npz", outcomes({i: f"{i}.jpg" for i in range(1, 11)}, **runs))
    kept = stored.load(tmp_path / "run.npz")

    assert isinstance(kept, stored.DetectionOutcomes)
    assert kept.example.tolist() == [f"{i}.jpg" for i in range(1, 11)]
    for kind in ("bbox", "segm"):
        again = average_precision(ranked(kept, kind), np.ones((1, 10), dtype=np.int64))[0]
        expected = average_precisions(runs[kind])
        assert 5 < expected["AP"] < 95
        assert again.mean() == pytest.approx(expected["AP"], abs=1e-6)
        assert again[IOU_50] == pytest.approx(expected["AP50"], abs=1e-6)
        assert again[IOU_75] == pytest.approx(expected["AP75"], abs=1e-6)


def test_matches_of_a_run_without_detections_still_count_the_objects() -> None:
    empty = {kind: evaluate(kind, [], truth([CAT, DOG, DOG])) for kind in ("bbox", "segm")}

    kept = outcomes({1: "a", 2: "b"}, **empty)

    assert kept.bbox_objects.tolist() == [[1, 0], [0, 2]]
    assert kept.bbox_matched.shape == (0, 10)
    assert kept.segm_score.dtype == np.float32
