from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from eval_tasks import linear_cached
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.seed import generator

TASK = replace(linear_cached.TASKS[0], precision="float32")

pytestmark = pytest.mark.usefixtures("one_thread")


def test_one_rate_equals_a_plain_loop_on_the_features(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, lrs=(0.5,), weight_decays=(0.0,), epochs=5, batch=10).resolved(colours, ctx)
    found = task.run(tiny, colours, seed=3, limit=None, ctx=ctx)

    features = task.features(tiny, colours, ctx)
    fc = nn.Linear(8, 3)
    fc.weight.data.normal_(0, 0.01, generator=generator(3, "head"))
    fc.bias.data.zero_()
    sgd = torch.optim.SGD(fc.parameters(), 0.5, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(sgd, [3, 4], gamma=0.1)
    for epoch in range(5):
        for rows in torch.randperm(36, generator=generator(3, "order", epoch)).split(10):
            loss = cross_entropy(fc(features.train.features[rows]), features.train.labels[rows])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        schedule.step()
    logits = fc(features.test.features).detach()
    assert isinstance(found.examples, ClassificationOutcomes)
    assert np.allclose(found.examples.score, logits.max(1).values, atol=1e-4)
    assert found.examples.prediction.tolist() == logits.argmax(1).tolist()


def test_it_learns_with_its_defaults_and_leaves_the_trunk_alone(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = TASK.resolved(colours, ctx).run(tiny, colours, seed=0, limit=None, ctx=ctx)
    assert outcome.values["top1"] > 90
    assert set(outcome.values) == {"top1", "top5", "oracle"}  # no published number has this protocol
    assert len(outcome.courses["train_loss"].values) == 100
    assert_unchanged(tiny)


def test_the_trunk_runs_once_per_image(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    for seed in (0, 1):
        TASK.resolved(colours, ctx).run(tiny, colours, seed=seed, limit=None, ctx=ctx)
    assert tiny.module.seen == 36 + 18


def test_with_one_image_a_class_the_first_setting_is_taken(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = TASK.resolved(colours, ctx).run(tiny, colours, seed=0, limit=3, ctx=ctx)
    assert (outcome.effective["lr"], outcome.effective["held_out_images"]) == (0.001, 0)


def test_the_protocol_says_there_is_no_augmentation(colours: Classification, ctx: Context) -> None:
    text = TASK.resolved(colours, ctx).protocol
    assert "no augmentation" in text
    assert "usually lies a little below `linear`" in text
    assert "100 epochs of SGD (momentum 0.9, batch 256" in text
