import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from eval_tasks import selftrain, semisup
from eval_tasks.selftrain import confident
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.runs.task import Outcome
from tests.support.evaluation import ON_ONE_THREAD, scores

SETTINGS = {"fraction": 0.2, "steps": 30, "batch": 6, "rates": ((0.01, 0.2),), "smallest": 0.3}
TASK = replace(selftrain.TASKS[1], **SETTINGS)

pytestmark = ON_ONE_THREAD


def run(task: semisup.Semisup, backbone: Backbone, data: Classification, ctx: Context) -> Outcome:
    return task.resolved(data, ctx).run(backbone, data, seed=0, limit=None, ctx=ctx)


def test_it_is_run_only_where_it_is_asked_for() -> None:
    assert "semisup-1-selftrain" not in semisup.DEFAULT


def test_a_guess_is_kept_up_to_the_threshold_of_its_entropy() -> None:
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    logits = p.clamp_min(1e-30).log()
    assert confident(logits, math.log(2) / math.log(3)).tolist() == [True, True, False]
    assert confident(logits, 0.1).tolist() == [False, True, False]
    assert confident(logits, 1.0).tolist() == [True, True, True]


def test_confident_guesses_join_the_labelled_images(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = run(replace(TASK, most_entropy=1.0), tiny, colours, ctx)
    assert outcome.effective["labelled_images"] == 6
    assert outcome.effective["guessed_images"] == 30
    assert outcome.effective["guessed_right"] > 80
    assert outcome.values["top1"] > 90
    assert_unchanged(tiny)


def test_without_a_confident_guess_it_is_plain_fine_tuning(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    sure = run(replace(TASK, most_entropy=1e-9), tiny, colours, ctx)
    plain = run(replace(semisup.TASKS[1], **SETTINGS), tiny, colours, ctx)
    assert sure.effective["guessed_images"] == 0
    assert np.array_equal(scores(sure), scores(plain))


def test_guesses_use_no_label_of_the_unlabelled_images(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, most_entropy=0.5)
    first = run(task, tiny, colours, ctx)
    drawn = set(task.drawn(colours, 0, None)[1])
    labels = np.array([y if i in drawn else (y + 1) % 3 for i, y in enumerate(colours.train.labels)])

    class Blind(type(task)):  # type: ignore[misc]
        """The same subset, whatever the labels of the rest."""

        def drawn(
            self, data: Classification, seed: int, limit: int | None
        ) -> tuple[Classification, list[int]]:
            return data, sorted(drawn)

    blind = Blind(**{**task.settings(), "name": task.name})
    other = run(blind, tiny, replace(colours, train=replace(colours.train, labels=labels)), ctx)
    assert np.array_equal(scores(first), scores(other))
    assert first.effective["guessed_right"] != other.effective["guessed_right"]


def test_nothing_left_to_guess_is_an_error(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    with pytest.raises(DataError, match="none is left to guess"):
        run(replace(TASK, fraction=1.0), tiny, colours, ctx)


def test_the_protocol_marks_what_is_ours() -> None:
    assert "threshold, hard labels and the fresh start are ours" in TASK.protocol
    assert "not plain fine-tuning" in TASK.protocol
