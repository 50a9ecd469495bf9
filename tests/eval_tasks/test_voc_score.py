from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval_tasks._detection.scoring.voc_matching import Detections, Objects, match
from eval_tasks.voc import score
from hsa_bench.core.results import outcomes as stored
from hsa_bench.core.results.average_precision import IOU_50, average_precision, ranked
from tests.support import vectors
from tests.support.plain_voc import plain_voc
from tests.support.voc_layout import Named, write_voc

REFERENCE = vectors.VECTORS / "voc_detections.json"


def row(
    image: str, category: str, x0: float, y0: float, x1: float, y1: float, score: float
) -> dict[str, Any]:
    """A detection, counted from 0."""
    return {"image_id": image, "category": category, "bbox": [x0, y0, x1, y1], "score": score}


DOG: Named = ("dog", (11, 11, 30, 30), False)  # 20 x 20 px
FOUND = row("a", "dog", 10, 10, 30, 30, 0.9)


@pytest.mark.parametrize(("name", "use_07"), [("voc07_11point", True), ("voc_area", False)])
def test_scores_of_the_reference_detections_are_those_of_detectron2(
    real_images: Path, name: str, use_07: bool
) -> None:
    expected = vectors.expected("voc_test2007")[name]
    folder = real_images / "voc-mini" / "VOCdevkit" / "VOC2007"

    assert score(REFERENCE, folder, "test", use_07) == pytest.approx(expected, abs=1e-4)
    rows = json.loads(REFERENCE.read_text())
    assert plain_voc(rows, folder, "test", use_07) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("use_07", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_of_made_cases_are_those_of_the_devkits_rules(tmp_path: Path, seed: int, use_07: bool) -> None:
    rows = written(tmp_path, *random_case(seed))

    scores = score(rows, tmp_path, "test", use_07)

    assert scores == pytest.approx(plain_voc(rows, tmp_path, "test", use_07), abs=1e-9)


@pytest.mark.parametrize("use_07", [True, False])
def test_finding_everything_exactly_scores_100(tmp_path: Path, use_07: bool) -> None:
    write_voc(tmp_path, "test", {"a": [DOG], "b": []}, pictures=False)

    assert score([FOUND], tmp_path, "test", use_07) == pytest.approx(
        {"AP": 100, "AP50": 100, "AP75": 100, "classes": 1}
    )


def test_the_overlap_counts_pixels_inclusively_and_must_exceed_the_threshold(tmp_path: Path) -> None:
    write_voc(tmp_path, "test", {"a": [DOG]}, pictures=False)
    half = row("a", "dog", 10, 10, 30, 20, 0.9)  # 20 x 10 of 20 x 20 pixels: exactly one half
    more = row("a", "dog", 10, 10, 30, 21, 0.9)

    assert score([half], tmp_path)["AP50"] == 0
    assert score([more], tmp_path)["AP50"] == pytest.approx(100)
    assert score([more], tmp_path)["AP"] == pytest.approx(10)  # 0.55 does not exceed .55


def test_a_second_detection_of_an_object_is_wrong(tmp_path: Path) -> None:
    write_voc(tmp_path, "test", {"a": [DOG], "b": [DOG]}, pictures=False)
    again = {**FOUND, "score": 0.8}
    other = row("b", "dog", 10, 10, 30, 30, 0.5)

    # recall 1/2 at precision 1, then 1 at 2/3: eleven points read 6 x 1 and 5 x 2/3, the area is 5/6
    assert score([FOUND, again, other], tmp_path)["AP50"] == pytest.approx(100 * (6 + 5 * 2 / 3) / 11)
    assert score([FOUND, again, other], tmp_path, "test", False)["AP50"] == pytest.approx(100 * 5 / 6)


def test_a_detection_looks_at_its_nearest_object_only(tmp_path: Path) -> None:
    objects: list[Named] = [DOG, ("dog", (13, 11, 32, 30), False)]
    write_voc(tmp_path, "test", {"a": objects}, pictures=False)

    # both lie nearest to the first; the second one would fit the other object with an overlap of .9 / 1.1
    found = [FOUND, {**FOUND, "score": 0.8}]

    assert score(found, tmp_path, "test", False)["AP50"] == pytest.approx(50)


def test_difficult_objects_count_neither_way(tmp_path: Path) -> None:
    write_voc(tmp_path, "test", {"a": [(*DOG[:2], True)], "b": [DOG]}, pictures=False)
    found = [FOUND, {**FOUND, "score": 0.8}, row("b", "dog", 10, 10, 30, 30, 0.5)]

    assert score(found, tmp_path)["AP"] == pytest.approx(100)


def test_a_class_without_objects_is_left_out_and_its_detections_with_it(tmp_path: Path) -> None:
    cat: Named = ("cat", (1, 1, 9, 9), True)  # difficult ones alone
    write_voc(tmp_path, "test", {"a": [DOG, cat]}, pictures=False)

    scores = score([FOUND, row("a", "cow", 1, 1, 5, 5, 1)], tmp_path)

    assert scores["AP"] == pytest.approx(100)
    assert scores["classes"] == 1


def test_a_detection_in_an_image_without_objects_is_wrong(tmp_path: Path) -> None:
    write_voc(tmp_path, "test", {"a": [DOG], "b": []}, pictures=False)

    assert score([row("b", "dog", 1, 1, 9, 9, 1), FOUND], tmp_path)["AP50"] == pytest.approx(50)


def test_finding_nothing_scores_0_and_a_list_may_be_a_file(tmp_path: Path) -> None:
    write_voc(tmp_path, "test", {"a": [DOG]}, pictures=False)
    (tmp_path / "found.json").write_text("[]")

    assert score([], tmp_path) == score(str(tmp_path / "found.json"), str(tmp_path))
    assert score([], tmp_path)["AP"] == 0


def test_unknown_images_are_refused(tmp_path: Path) -> None:
    write_voc(tmp_path, "test", {"a": [DOG]}, pictures=False)

    with pytest.raises(ValueError, match="image z, which the list test does not name"):
        score([{**FOUND, "image_id": "z"}], tmp_path)


def random_case(seed: int, images: int = 12) -> tuple[Detections, Objects, list[str]]:
    """Objects of two classes, some difficult, and detections that are objects shaken or made up."""
    rng = np.random.default_rng(seed)
    low = rng.integers(1, 50, (40, 2))
    corners = np.concatenate([low, low + rng.integers(10, 50, (40, 2))], axis=1).astype(float)
    image, label = rng.integers(0, images, 40), rng.integers(0, 2, 40)
    difficult = rng.random(40) < 0.2
    moved = np.concatenate([corners, corners[:20]]) + np.round(rng.normal(0, 3, (60, 4)), 1)
    return (
        Detections(
            image=np.concatenate([image, image[:20]]),
            label=np.concatenate([label, rng.integers(0, 2, 20)]),
            corners=moved,
            score=rng.permutation(60) / 64,
        ),
        Objects(image, label, corners, difficult),
        [f"{i:06}" for i in range(images)],
    )


def written(folder: Path, found: Detections, objects: Objects, names: list[str]) -> list[dict[str, Any]]:
    """The case as files and rows."""
    there: dict[str, list[Named]] = {name: [] for name in names}
    for i, label, corners, hard in zip(
        objects.image, objects.label, objects.corners.astype(int).tolist(), objects.difficult, strict=True
    ):
        there[names[i]].append((("cat", "dog")[label], tuple(corners), bool(hard)))
    write_voc(folder, "test", there, pictures=False)
    corners_0 = found.corners - np.array([1, 1, 0, 0])
    rows = zip(found.image, found.label, corners_0.tolist(), found.score.tolist(), strict=True)
    return [row(names[i], ("cat", "dog")[label], *box, s) for i, label, box, s in rows]


@pytest.mark.parametrize("use_07", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_average_precision_comes_back_from_the_stored_matches(
    tmp_path: Path, seed: int, use_07: bool
) -> None:
    found, objects, names = random_case(seed)
    kept = match(found, objects, names, 2, "voc07" if use_07 else "voc-area")
    stored.save(tmp_path / "run.npz", kept)
    again = stored.load(tmp_path / "run.npz")
    assert isinstance(again, stored.DetectionOutcomes)

    each = average_precision(ranked(again, "bbox"), np.ones((1, len(names)), dtype=np.int64))[0]

    expected = score(written(tmp_path, found, objects, names), tmp_path, "test", use_07)
    assert 5 < expected["AP"] < 95
    assert each.mean() == pytest.approx(expected["AP"], abs=1e-9)
    assert each[IOU_50] == pytest.approx(expected["AP50"], abs=1e-9)


@pytest.mark.parametrize("how", ["voc07", "voc-area"])
def test_an_image_drawn_twice_counts_as_two_images(how: Any) -> None:
    found, objects, names = random_case(3)
    kept = match(found, objects, names, 2, how)
    counts = np.ones((1, len(names)), dtype=np.int64)
    counts[0, 4] = 2

    resampled = average_precision(ranked(kept, "bbox"), counts)

    two, twin = found.image == 4, objects.image == 4
    order = np.argsort(-np.concatenate([found.score, found.score[two]]), kind="stable")
    doubled = Detections(
        image=np.concatenate([found.image, np.full(two.sum(), len(names))])[order],
        label=np.concatenate([found.label, found.label[two]])[order],
        corners=np.concatenate([found.corners, found.corners[two]])[order],
        score=np.concatenate([found.score, found.score[two]])[order],
    )
    more = Objects(
        image=np.concatenate([objects.image, np.full(twin.sum(), len(names))]),
        label=np.concatenate([objects.label, objects.label[twin]]),
        corners=np.concatenate([objects.corners, objects.corners[twin]]),
        difficult=np.concatenate([objects.difficult, objects.difficult[twin]]),
    )
    whole = match(doubled, more, [*names, "again"], 2, how)
    expected = average_precision(ranked(whole, "bbox"), np.ones((1, len(names) + 1), dtype=np.int64))
    # copies stand together in a resample; here they tie, and a right one before a wrong one may differ
    assert resampled == pytest.approx(expected, abs=1.0)
    assert resampled.mean() == pytest.approx(expected.mean(), abs=0.2)


@pytest.mark.parametrize("use_07", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_cases_score_as_in_detectron2(tmp_path: Path, seed: int, use_07: bool) -> None:
    pytest.importorskip("detectron2", reason="needs Detectron2")
    with warnings.catch_warnings():  # of Detectron2's own imports
        warnings.simplefilter("ignore")
        from detectron2.evaluation.pascal_voc_evaluation import voc_eval
    found, objects, names = random_case(seed)
    rows = written(tmp_path, found, objects, names)
    for xml in (tmp_path / "Annotations").iterdir():  # its reader asks for these too
        xml.write_text(xml.read_text().replace("<difficult>", "<pose/><truncated>0</truncated><difficult>"))
    listed = tmp_path / "ImageSets" / "Main" / "test.txt"
    each = []
    for category in ("cat", "dog"):
        lines = [
            f"{r['image_id']} {r['score']} "
            + " ".join(str(v + o) for v, o in zip(r["bbox"], (1, 1, 0, 0), strict=True))
            for r in rows
            if r["category"] == category
        ]
        (tmp_path / f"{category}.txt").write_text("\n".join(lines))
        each.append(
            [
                voc_eval(
                    str(tmp_path / "{}.txt"),
                    str(tmp_path / "Annotations" / "{}.xml"),
                    str(listed),
                    category,
                    ovthresh=iou / 100,
                    use_07_metric=use_07,
                )[2]
                for iou in range(50, 100, 5)
            ]
        )

    scores = score(rows, tmp_path, "test", use_07)

    assert scores["AP"] == pytest.approx(100 * np.mean(each), abs=1e-9)
    assert scores["AP50"] == pytest.approx(100 * np.mean(each, axis=0)[0], abs=1e-9)
