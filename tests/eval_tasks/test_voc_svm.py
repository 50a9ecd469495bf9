from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval_tasks import voc_lowshot, voc_svm
from eval_tasks._svm.fit import area, unit
from eval_tasks._svm.voc_draws import shared_images
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.voc_folder import CLASSES
from hsa_bench.core.data.detection.voc_labels import IGNORED, PRESENT, VocLabels, open_voc_labels
from hsa_bench.core.errors import DataError
from hsa_bench.core.features.extract import extract
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.results.average_precision import IOU_50, average_precision, ranked
from hsa_bench.core.results.outcomes import DetectionOutcomes
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, make_plan
from hsa_bench.core.runs.task import Outcome
from reports.statistics.bootstrap import Measured, measure
from tests.support.plain_svm import plain_area, plain_svm
from tests.support.voc_layout import Named, write_voc

VISSL, PCL = voc_svm.TASKS
FEW_VISSL, FEW_PCL = voc_lowshot.TASKS
QUICK = {"image_size": 64, "costs": (0.1, 1.0)}

pytestmark = pytest.mark.usefixtures("one_thread")


def draws(outcome: Outcome, name: str) -> tuple[float, ...]:
    return next(metric.draws for metric in outcome.metrics if metric.name == name)


def write_devkit(root: Path) -> None:
    """Forty training images of cats and dogs and persons, some hard, and nothing of other classes."""
    box = (5, 5, 30, 30)

    def shown(i: int) -> list[Named]:
        cat: list[Named] = [("cat", box, i % 12 == 0)] if i % 3 == 0 else []
        dog: list[Named] = [("dog", box, False)] if i % 4 == 1 else []
        return [*cat, *dog, *([("person", box, False)] if i % 8 < 3 else [])]

    write_voc(root / "VOC2007", "trainval", {f"{i:06}": shown(i) for i in range(40)})
    write_voc(root / "VOC2007", "test", {f"{i:06}": shown(i) for i in range(50, 80)})


@pytest.fixture
def voc(ctx: Context) -> VocLabels:
    write_devkit(ctx.data_root / "VOCdevkit")
    open_voc_labels.cache_clear()
    return open_voc_labels(ctx.data_root / "VOCdevkit")


def test_vissl_measures_two_layers_and_leaves_difficult_images_out(
    small_backbone: Backbone, voc: VocLabels, ctx: Context
) -> None:
    task = replace(VISSL, **QUICK).resolved(voc, ctx)
    outcome = task.run(small_backbone, voc, 0, None, ctx)

    assert set(outcome.values) == {"mAP", "stage3/mAP", "stage4/mAP"}
    assert outcome.values["mAP"] == outcome.values["stage4/mAP"]
    assert set(outcome.effective["C"]["stage3"]) == {"cat", "dog", "person"}
    assert len(outcome.effective["classes_left_out"]) == 17
    assert isinstance(outcome.examples, DetectionOutcomes)
    hard = int((voc.test_labels == IGNORED).sum())
    assert hard and outcome.examples.bbox_ignored.all(axis=1).sum() == hard
    assert_unchanged(small_backbone)

    expected = []
    x, test = (
        unit(
            extract(small_backbone, images, task.view, ctx, task.precision, layers=("stage4",)).rows().numpy()
        )
        for images in (voc.train, voc.test)
    )
    for name in ("cat", "dog", "person"):
        c = CLASSES.index(name)
        svm = plain_svm(x, voc.train_labels[:, c] == PRESENT, outcome.effective["C"]["stage4"][name])
        asked = voc.test_labels[:, c] != IGNORED
        scores = svm.decision_function(test).astype(np.float32)[asked]
        expected.append(plain_area(scores, voc.test_labels[asked, c] == PRESENT))
    assert outcome.values["mAP"] == pytest.approx(np.mean(expected))


def test_pcl_counts_difficult_images_as_negatives(
    small_backbone: Backbone, voc: VocLabels, ctx: Context
) -> None:
    task = replace(PCL, image_size=64).resolved(voc, ctx)
    outcome = task.run(small_backbone, voc, 0, None, ctx)

    assert set(outcome.values) == {"mAP"}
    assert isinstance(outcome.examples, DetectionOutcomes)
    assert not outcome.examples.bbox_ignored.any()
    assert len(outcome.examples.bbox_score) == 3 * 30
    assert "C" not in outcome.effective


@pytest.mark.parametrize("task", [VISSL, PCL], ids=["vissl", "pcl"])
def test_the_report_finds_the_number_in_the_outcomes(
    task: voc_svm.FullSvm, voc: VocLabels, bench: Bench
) -> None:
    quick = replace(task, image_size=64, costs=(1.0,), root=str(bench.ctx.data_root / "VOCdevkit"))
    request = BackboneRequest(label="random", arch="resnet18-w16")
    plan = make_plan(
        [ChosenTask("eval_tasks.voc_svm", quick)],
        [LoadedBackbone(request, open_backbone(request))],
        "",
        (0,),
        None,
        bench.ctx,
    )
    (cell,) = plan.runs

    result = execute(cell, bench)

    assert result.status == "ok"
    found = measure([result], bench.store.path(cell.label, cell.spec.task, cell.spec.key).parent)
    assert isinstance(found, Measured)
    assert found.score == pytest.approx(result.values["mAP"], abs=1e-9)
    assert found.on(np.random.default_rng(0).multinomial(30, [1 / 30] * 30, size=4)).shape == (4,)


def test_outcomes_give_the_number_of_any_resample(
    small_backbone: Backbone, voc: VocLabels, ctx: Context
) -> None:
    task = replace(VISSL, **QUICK).resolved(voc, ctx)
    outcome = task.run(small_backbone, voc, 0, None, ctx)
    found = outcome.examples
    assert isinstance(found, DetectionOutcomes)
    scores = found.bbox_score.reshape(3, 30)
    rows = np.random.default_rng(1).integers(30, size=30)

    resampled = average_precision(ranked(found, "bbox"), np.bincount(rows, minlength=30)[None])

    rows = np.sort(rows)  # copies of an image stand together
    expected = [
        area(scores[i, rows], voc.test_labels[rows, CLASSES.index(name)])
        for i, name in enumerate(("cat", "dog", "person"))
    ]
    assert resampled[0, IOU_50] == pytest.approx(np.mean(expected))
    assert np.ptp(resampled[0]) == 0


def test_vissls_few_images_say_that_test_chose_the_cost(
    small_backbone: Backbone, voc: VocLabels, ctx: Context
) -> None:
    task = replace(FEW_VISSL, **QUICK, ks=(1, 16), draws=2).resolved(voc, ctx)
    outcome = task.run(small_backbone, voc, 0, None, ctx)

    assert task.main_metric == "oracle_mAP"
    assert set(outcome.values) == {
        "oracle_mAP", "oracle_mAP_k1", "stage3/oracle_mAP", "stage4/oracle_mAP"
    }  # fmt: skip
    assert all(metric.draws for metric in outcome.metrics)
    for name, value in outcome.values.items():
        assert len(draws(outcome, name)) == 2
        assert value == pytest.approx(np.mean(draws(outcome, name)))
    tried = outcome.effective["test_mAP_by_k_and_C"]["stage4"]
    assert outcome.values["oracle_mAP_k1"] == pytest.approx(max(tried.values()), abs=1e-4)
    assert outcome.effective["ks_left_out"] == [16]
    assert replace(task, costs=(1.0,)).main_metric == "mAP"


def test_pcls_few_images_train_every_class(small_backbone: Backbone, voc: VocLabels, ctx: Context) -> None:
    task = replace(FEW_PCL, image_size=64, ks=(2, 4), draws=3).resolved(voc, ctx)
    outcome = task.run(small_backbone, voc, 0, None, ctx)

    assert set(outcome.values) == {"mAP", "mAP_k2", "mAP_k4"}
    by_draw = np.array([draws(outcome, f"mAP_k{k}") for k in (2, 4)])
    assert draws(outcome, "mAP") == pytest.approx(by_draw.mean(axis=0).tolist())
    assert outcome.values["mAP"] == pytest.approx(by_draw.mean())

    x, test = (
        unit(extract(small_backbone, images, task.view, ctx, task.precision).rows().numpy())
        for images in (voc.train, voc.test)
    )
    named = [CLASSES.index(name) for name in ("cat", "dog", "person")]
    rows = shared_images(voc.train_labels, named, 4, draw=1)
    expected = [
        plain_area(
            plain_svm(x[rows], voc.train_labels[rows, c] == PRESENT, 0.5).decision_function(test),
            voc.test_labels[:, c] == PRESENT,
        )
        for c in named
    ]
    assert by_draw[1, 1] == pytest.approx(np.mean(expected))


def test_a_limit_takes_that_many_images(small_backbone: Backbone, voc: VocLabels, ctx: Context) -> None:
    outcome = replace(PCL, image_size=64).resolved(voc, ctx).run(small_backbone, voc, 0, 20, ctx)
    assert outcome.examples is not None
    assert len(outcome.examples.example) == 20


def test_networks_without_stages_are_told_of_pcls(small_backbone: Backbone) -> None:
    pixels = open_backbone(BackboneRequest(label="pixels", arch="pixels"))

    assert "voc-svm-pcl takes the features of any network" in VISSL.unsupported(pixels)
    assert "voc-lowshot-pcl takes" in FEW_VISSL.unsupported(pixels)
    assert not PCL.unsupported(pixels) and not FEW_PCL.unsupported(pixels)
    assert not VISSL.unsupported(small_backbone)


def test_the_recipes_are_vissls_and_pcls(voc: VocLabels, ctx: Context) -> None:
    assert VISSL.costs == FEW_VISSL.costs == (0.01, 0.1, 1, 2, 5, 10, 15, 20, 50, 100, 1000)
    assert VISSL.folds == 3 and VISSL.max_iter == 2000
    assert FEW_VISSL.ks == (1, 2, 4, 8, 16, 32, 64, 96) and FEW_VISSL.draws == FEW_PCL.draws == 5
    assert PCL.costs == FEW_PCL.costs == (0.5,) and FEW_PCL.ks == (1, 2, 4, 8, 16)
    views = [task.resolved(voc, ctx).view for task in (VISSL, FEW_VISSL, PCL)]
    assert [(v.size, v.resize, v.squash) for v in views] == [
        (224, 256, True),
        (224, 224, True),
        (224, 256, False),
    ]


def test_the_protocol_states_the_values_in_force(voc: VocLabels, ctx: Context) -> None:
    full, few, pcl = (task.resolved(voc, ctx).protocol for task in (VISSL, FEW_VISSL, PCL))

    assert "its shorter side resized to 256 px, then both sides resized to 224 px (bilinear)" in full
    assert "chosen for each class by average precision (not interpolated) in 3-fold" in full
    assert "a negative in training and left out of the test" in full
    assert "svm_trainer.py" in full and "09270ed" in full
    assert "The whole picture, both sides resized to 224 px" in few
    assert "with the best mean over the draws on test" in few and "not drawn in training" in few
    assert "C = 0.5. " in pcl and "a negative in the test" in pcl and "Centre crop of 224 px" in pcl
    for task in (*voc_svm.TASKS, *voc_lowshot.TASKS):
        assert "The whole picture" in task.protocol or "Centre crop" in task.protocol  # unresolved


def test_a_missing_devkit_is_named(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="VOCdevkit/VOC2007"):
        VISSL.data("", ctx)
    write_devkit(tmp_path / "mine")
    assert replace(VISSL, root=str(tmp_path / "mine")).data("", ctx).name == "mine"
