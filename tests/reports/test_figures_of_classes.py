"""Confusion matrices, maps of features, and pictures that tasks left."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store
from reports.figures import place_artefacts
from reports.figures.confusion import draw_confusion, row_percent
from reports.figures.embedding import apart, densest, draw_embedding
from reports.run_folder.collected import Collected
from tests.reports.figure_cases import CONTROL, caught, draw, knn, panels, with_map
from tests.reports.report_folder import classified, result, write


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    return caught(monkeypatch)


def outcomes_of(share: float, classes: int = 10, named: bool = False) -> ClassificationOutcomes:
    """So much is right; what is wrong is taken for the next class, most often in the last classes."""
    label = np.arange(20 * classes) % classes
    wrong = np.random.default_rng(0).random(len(label)) * (0.5 + label / classes) > share
    kept = classified(np.ones(len(label), np.bool_))
    prediction = np.where(wrong, (label + 1) % classes, label)
    names = np.array([f"class {c}" for c in range(classes)]) if named else kept.classes
    return replace(kept, label=label, prediction=prediction, classes=names)


def scored(out: Path, label: str, share: float, task: str = "linear", **kinds: int) -> TaskResult:
    kept = outcomes_of(share, **kinds)
    top1 = float((kept.label == kept.prediction).mean() * 100)
    return write(out, result(label, task, metrics={"top1": top1}), kept)


def shown(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(ax.get_images()[0].get_array()) for ax in panels(figure)]


def test_rows_of_a_confusion_matrix_are_percent_of_the_true_class() -> None:
    counts = np.array([[3, 1, 0], [0, 0, 0], [2, 2, 4]])

    assert row_percent(counts, [0, 1, 2]).tolist() == [[75, 25, 0], [0, 0, 0], [25, 25, 50]]
    assert row_percent(counts, [0, 2]).tolist() == [
        [75, 0, 25],
        [25, 50, 25],
    ]  # the rest is in the last column


def test_the_best_backbone_is_set_against_the_baseline(drawn: list[Figure], tmp_path: Path) -> None:
    results = [
        scored(tmp_path, *one) for one in (("moco", 0.5), ("hsa", 0.8), ("simclr", 0.6), ("random", 0.9))
    ]
    picture = draw(draw_confusion, tmp_path, scored(tmp_path, "hsa", 0.1, "knn"), *results)

    best, base, difference = shown(drawn[0])
    assert [ax.get_title(loc="left").partition("\n")[0] for ax in panels(drawn[0])] == [
        "hsa (best)",
        "moco (baseline)",
        "hsa",
    ]
    assert best.sum(1) == pytest.approx(100) and base.sum(1) == pytest.approx(100)
    assert difference == pytest.approx(best - base)
    assert [text.get_text() for text in panels(drawn[0])[0].get_xticklabels()] == [str(c) for c in range(10)]
    assert picture and picture.title == "Confusion matrices: linear"


def test_a_baseline_that_is_best_stands_alone(drawn: list[Figure], tmp_path: Path) -> None:
    assert draw(draw_confusion, tmp_path, scored(tmp_path, "moco", 0.8), scored(tmp_path, "hsa", 0.5))
    assert draw(draw_confusion, tmp_path, scored(tmp_path, "hsa", 0.5), baseline="")

    assert [len(panels(figure)) for figure in drawn] == [1, 1]
    assert panels(drawn[0])[0].get_title(loc="left").startswith("moco (best, baseline)")


def test_of_many_classes_those_with_most_confusions_are_shown(drawn: list[Figure], tmp_path: Path) -> None:
    results = [
        scored(tmp_path, label, share, classes=30, named=True)
        for label, share in (("hsa", 1.2), ("moco", 1.1))
    ]
    picture = draw(draw_confusion, tmp_path, *results)

    best, base, _ = shown(drawn[0])
    assert best.shape == base.shape == (15, 16)
    assert best.sum(1) == pytest.approx(100)
    columns = [text.get_text() for text in panels(drawn[0])[0].get_xticklabels()]
    assert columns[-2:] == ["class 29", "others"] and "class 5" not in columns
    assert picture and "Of 30 classes the 15 with most confusions" in picture.caption


def test_unreadable_outcomes_leave_the_task_out(drawn: list[Figure], tmp_path: Path) -> None:
    broken = scored(tmp_path, "hsa", 0.5)
    path = Store(tmp_path).path("hsa", "linear", broken.spec.key).with_suffix(".npz")
    path.write_bytes(b"not an archive")

    assert draw(draw_confusion, tmp_path, broken, baseline="") is None
    assert draw(draw_confusion, tmp_path, broken, scored(tmp_path, "hsa", 0.5, "knn"), baseline="")


def test_maps_begin_with_the_best_the_baseline_and_a_control(drawn: list[Figure], tmp_path: Path) -> None:
    strength = {"a": 10.0, "moco": 30.0, "b": 50.0, "random": 90.0, **dict.fromkeys("cdef", 20.0)}
    results = [
        with_map(
            tmp_path,
            knn(label, top1, **({"source": CONTROL} if label == "random" else {})),
            np.arange(9) % 3,
            3,
        )
        for label, top1 in strength.items()
    ]
    picture = draw(draw_embedding, tmp_path, *results)

    titles = [ax.get_title(loc="left").partition(":")[0] for ax in panels(drawn[0])]
    assert titles == ["b", "moco", "random", "a", "c", "d"]
    names = [text.get_text() for text in panels(drawn[0])[0].texts]
    assert names == ["class 0", "class 1", "class 2"]
    assert picture and "t-SNE of 9 test images" in picture.caption and "other" not in picture.caption


def test_of_many_classes_the_most_frequent_are_told_apart(drawn: list[Figure], tmp_path: Path) -> None:
    label = np.concatenate([np.arange(25), np.arange(20, 25), [3]])
    picture = draw(draw_embedding, tmp_path, with_map(tmp_path, knn("hsa", 50.0), label, 25))

    (ax,) = panels(drawn[0])
    grey, *coloured = ax.get_lines()
    assert [len(line.get_xdata()) for line in coloured] == [1, 1, 1, 2, 2, 2, 2, 2, 2][:3] + [2] + [1] + [
        2
    ] * 5
    assert len(grey.get_xdata()) == 15
    assert len({(line.get_color(), line.get_marker()) for line in coloured}) == 10
    assert not ax.texts
    assert picture and "Of 25 classes the 10 most frequent" in picture.caption


def test_a_map_that_is_gone_or_broken_is_left_out(tmp_path: Path) -> None:
    one = with_map(tmp_path, knn("hsa", 50.0), np.arange(6) % 3, 3)
    path = Store(tmp_path).path("hsa", "knn", one.spec.key).with_name(one.artefacts["embedding"])

    for damage in (lambda: path.write_bytes(b"no archive"), path.unlink):
        damage()
        assert draw(draw_embedding, tmp_path, one) is None
    with_map(tmp_path, one, np.array([0, 1, 7]), 3)
    assert draw(draw_embedding, tmp_path, one) is None


def test_names_on_a_map_stand_where_the_class_is_and_beside_each_other() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(place, width, (20, 2)) for place, width in ((-5, 1.0), (5, 0.1))]
    assert densest(np.concatenate(parts).astype(np.float32)) == pytest.approx([5, 5], abs=0.2)

    moved = apart(np.zeros((2, 2), np.float32), ["cat", "dog"], span=10)
    assert moved[:, 0].tolist() == [0, 0] and abs(moved[0, 1] - moved[1, 1]) > 0.4
    far = np.array([[0, 0], [8, 0]], np.float32)
    assert apart(far, ["cat", "dog"], span=10).tolist() == far.tolist()


def test_pictures_that_tasks_left_have_captions_and_maps_are_none(tmp_path: Path) -> None:
    one = result("moco", "coco", artefacts={"detections": "a.png", "embedding": "b.npz", "other": "c.png"})
    folder = Store(tmp_path).path("moco", "coco", "x").parent
    folder.mkdir(parents=True)
    (folder / "b.npz").write_bytes(b"")
    for name in ("a.png", "c.png"):
        Image.new("RGB", (8, 8)).save(folder / name)

    placed = place_artefacts(Collected(tmp_path, None, (one,), (), ()), tmp_path / "report.md")

    detections, other = placed["coco"]
    assert detections.caption.startswith("moco. First test pictures")
    assert "Dashed white: true boxes" in detections.caption and other.caption == "moco."
    assert (tmp_path / detections.path).is_file()
