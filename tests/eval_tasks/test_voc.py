from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eval_tasks._detection.solver import Solver
from eval_tasks.voc import TASKS
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.outcomes import DetectionOutcomes
from tests.support.voc_layout import write_voc

VARIANTS = {task.name: task for task in TASKS}
QUICK = replace(
    VARIANTS["voc-fpn"],
    engine="torchvision",
    iterations=6,
    batch=2,
    lr=0.01,
    train_sizes=(40, 48),
    test_size=40,
    precise_batches=1,
    pyramid_dim=8,
    rpn_candidates=(20, 20),
    proposals=(10, 10),
    roi_batch=8,
    box_dim=8,
    classes="auto",
)


def write_devkit(root: Path) -> None:
    dog, cat = ("dog", (5, 5, 40, 30), False), ("cat", (20, 10, 50, 38), True)
    write_voc(root / "VOC2007", "trainval", {f"00000{i}": [dog, cat] for i in range(4)})
    write_voc(root / "VOC2007", "test", {f"00001{i}": [dog, cat] for i in range(3)})
    write_voc(root / "VOC2012", "trainval", {"2008_000001": [dog], "2008_000002": []})


def test_the_defaults_are_mocos() -> None:
    voc, fpn = VARIANTS["voc"], VARIANTS["voc-fpn"]

    assert voc.solver == fpn.solver == Solver(0.02, 24_000, 100, (18_000, 22_000))
    assert voc.train_sizes == (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    assert (voc.batch, voc.test_size, voc.masks, voc.head, fpn.head) == (16, 800, False, "c4", "fpn")
    assert "eleven recalls (VOC 2007's)" in voc.protocol
    assert "Faster R-CNN" in voc.protocol


def test_half_the_batch_has_half_the_rate_and_twice_the_iterations() -> None:
    assert replace(VARIANTS["voc"], batch=8).solver == Solver(0.01, 48_000, 200, (36_000, 44_000))


@pytest.mark.usefixtures("one_thread")
def test_a_run_leaves_metrics_outcomes_and_picture(small_backbone: Backbone, ctx: Context) -> None:
    write_devkit(ctx.data_root / "VOCdevkit")
    data = QUICK.data("imagenet", ctx)

    outcome = QUICK.run(small_backbone, data, 0, None, ctx)

    assert set(outcome.values) == {"bbox/AP", "bbox/AP50", "bbox/AP75"}
    assert isinstance(outcome.examples, DetectionOutcomes)
    assert str(outcome.examples.interpolation) == "voc07"
    assert outcome.examples.example.tolist() == [f"VOC2007/JPEGImages/00001{i}.jpg" for i in range(3)]
    assert outcome.examples.bbox_objects.tolist() == [[0, 1]] * 3  # the cat is difficult
    assert outcome.artefacts["detections"].exists()
    assert outcome.effective["train_images"] == 5
    assert outcome.effective["train_images_without_objects"] == 1
    assert outcome.effective["classes_with_objects"] == 1


def test_c4_on_a_small_trunk_names_the_pyramid(small_backbone: Backbone) -> None:
    task = replace(VARIANTS["voc"], engine="torchvision")

    assert "use voc-fpn" in task.unsupported(small_backbone)
    assert not task.unsupported(open_backbone(BackboneRequest(label="random", arch="resnet50")))


def test_data_are_looked_for_below_the_data_root_or_where_told(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="VOCdevkit"):
        QUICK.data("imagenet", ctx)
    write_devkit(tmp_path / "mine")

    assert replace(QUICK, root=str(tmp_path / "mine")).data("imagenet", ctx).name == "mine"


def test_the_lists_of_a_folder_of_ones_own_stand_in_key_and_protocol(ctx: Context, tmp_path: Path) -> None:
    root = tmp_path / "birds"
    write_voc(root, "train", {"a": [("wren", (1, 1, 9, 9), False)]})
    write_voc(root, "val", {"b": [("kite", (1, 1, 9, 9), False)]})
    task = replace(QUICK, root=str(root))
    data = task.data("", ctx)

    resolved = task.resolved(data, ctx)

    assert (resolved.train, resolved.test) == (("train",), "val")
    assert "Trained on train, tested on val." in resolved.protocol
    assert resolved.data("", ctx).fingerprint() == data.fingerprint()
