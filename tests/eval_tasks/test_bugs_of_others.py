"""Bugs found in other suites' evaluators, each shown not to be here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eval_tasks import knn, linear, linear_cached, logistic, semisup
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.runs.task import ClassificationTask, Outcome
from hsa_bench.suite.choose_tasks import choose_tasks
from hsa_bench.suite.options import parse_task_settings

QUICK: dict[str, ClassificationTask] = {
    "knn": knn.TASKS[0],
    "linear": replace(linear.TASKS[0], epochs=2, batch=10, lr=0.3, lrs=(0.1, 1.0)),
    "linear-cached": replace(linear_cached.TASKS[0], epochs=5, lrs=(0.1, 1.0)),
    "logistic": logistic.TASKS[0],
    "semisup-10": replace(semisup.TASKS[1], fraction=0.5, steps=4, batch=6, rates=((0.01, 0.2),)),
}

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


def run(name: str, backbone: Backbone, data: Classification, ctx: Context) -> Outcome:
    return QUICK[name].resolved(data, ctx).run(backbone, data, seed=0, limit=None, ctx=ctx)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("test_images", [1, 3, 18])
def test_fewer_than_100_test_images_and_5_classes_work(
    name: str, test_images: int, tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    """dino eval_knn.py:146-149, mmselfsup knn_eval.py:37-41, vissl knn_utils.py:247-251: `n_test // 100` is
    a step.

    vissl knn_utils.py:49 compares the number of queries where it means neighbours.
    """
    few = replace(colours, test=colours.test.subset(range(test_images)))
    outcome = run(name, tiny, few, ctx)
    assert outcome.values["top5"] == 100.0
    assert outcome.examples is not None
    assert len(outcome.examples.example) == test_images


@pytest.mark.parametrize("name", QUICK)
def test_classes_come_from_train_and_test_together(
    name: str, tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    """solo-learn knn.py:119 counts the classes of test only; dino#242: a label beyond the head's size."""
    in_train = [i for i, y in enumerate(colours.train.labels) if y != 2]
    in_test = [i for i, y in enumerate(colours.test.labels) if y != 0]
    apart = replace(colours, train=colours.train.subset(in_train), test=colours.test.subset(in_test))
    outcome = run(name, tiny, apart, ctx)
    assert outcome.effective["classes_only_in_test"] == 1
    assert outcome.values["top1"] <= 50.0  # blue was never shown


def test_a_second_run_with_other_settings_uses_nothing_of_the_first(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    """CLIP_benchmark linear_probe.py:153: the cache's key is model and data set only."""
    alone = replace(ctx, cache=ctx.cache / "alone")
    task = QUICK["linear-cached"].resolved(colours, ctx)
    expected = task.run(tiny, colours, seed=1, limit=12, ctx=alone)
    task.run(tiny, colours, seed=0, limit=None, ctx=ctx)
    replace(task, precision="bfloat16").run(tiny, colours, seed=0, limit=12, ctx=ctx)
    task = replace(task, precision="float32")
    found = task.run(tiny, colours, seed=1, limit=12, ctx=ctx)
    again = task.run(tiny, colours, seed=1, limit=12, ctx=alone)
    assert found.metrics == again.metrics
    assert found.effective == again.effective
    assert expected.effective["held_out_images"] == found.effective["held_out_images"]


def test_a_false_is_false() -> None:
    """mmselfsup test_knn.py:59-63: `type=bool`, for which "False" is true, and a flag that is never read."""
    (chosen,) = choose_tasks(["linear"], parse_task_settings(["linear.flip=False"]), image_size=0)
    assert chosen.task.settings()["flip"] is False


@pytest.mark.parametrize("name", ["linear", "linear-cached", "logistic", "semisup-10"])
def test_no_test_label_chooses_anything_behind_the_main_number(
    name: str, tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    """lightly and stable-pretraining report the best epoch on the test set."""
    turned = replace(colours.test, labels=(colours.test.labels + 1) % 3)
    honest = run(name, tiny, colours, ctx)
    misled = run(name, tiny, replace(colours, test=turned), ctx)
    assert honest.examples is not None
    assert misled.examples is not None
    assert np.array_equal(honest.examples.score, misled.examples.score)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", QUICK)
def test_the_trunk_is_frozen_or_a_copy(
    name: str, tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    """lightly finetune_eval.py:35 calls a fine-tuned trunk frozen; lightly#1440: batch norm in train mode."""
    tiny.module.train()
    run(name, tiny, colours, ctx)
    assert_unchanged(tiny)
    assert ("Fine-tuning" in QUICK[name].protocol) == (not QUICK[name].frozen)
    assert ("frozen trunk" in QUICK[name].protocol) == QUICK[name].frozen
