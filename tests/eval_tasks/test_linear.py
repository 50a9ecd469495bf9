from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from eval_tasks import linear
from eval_tasks._linear.recipes import RECIPES
from hsa_bench.core.context import Context
from hsa_bench.core.data.device_views import normalised
from hsa_bench.core.data.drawn_view import DrawnView
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.data.loading import ordered, shuffled
from hsa_bench.core.data.views import View, centre_view, random_view
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.seed import generator
from tests.support.evaluation import ON_ONE_THREAD, run, scores

MOCO = linear.TASKS[0]
TASK = replace(
    MOCO,
    epochs=5,
    batch=10,
    lr=0.3,
    lrs=(0.1, 1.0),
    weight_decays=(0.0,),
    smallest=0.3,
    precision="float32",
)

pytestmark = ON_ONE_THREAD


def test_the_defaults_are_mocos() -> None:
    found = (MOCO.lr, MOCO.per_256, MOCO.epochs, MOCO.batch, MOCO.momentum, MOCO.weight_decay)
    assert found == (30.0, False, 100, 256, 0.9, 0.0)
    assert (MOCO.schedule, MOCO.milestones, MOCO.gamma) == ("step", (0.6, 0.8), 0.1)
    assert (MOCO.smallest, MOCO.flip, MOCO.nesterov, MOCO.trust, MOCO.init_std) == (
        0.08,
        True,
        False,
        0,
        0.01,
    )
    assert len(MOCO.points) == 30  # the published setting is one of the grid


@pytest.mark.parametrize(
    ("recipe", "lr", "halved", "epochs", "batch", "decay"),
    [  # as published; the rate at the recipe's batch, and at half of it
        ("moco", 30.0, 30.0, 100, 256, 0.0),
        ("simclr", 1.6, 0.8, 90, 4096, 1e-6),
        ("swav", 0.3, 0.3, 100, 256, 1e-6),
        ("dino", 0.004, 0.002, 100, 1024, 0.0),
        ("simsiam", 1.6, 0.8, 90, 4096, 0.0),
        ("mocov3", 0.4, 0.2, 90, 1024, 0.0),
        ("barlow", 0.3, 0.3, 100, 256, 1e-6),
    ],
)
def test_a_recipe_has_its_papers_numbers_and_batch_rule(
    recipe: str, lr: float, halved: float, epochs: int, batch: int, decay: float
) -> None:
    task = next(task for task in linear.TASKS if task.recipe == recipe)
    assert (task.epochs, task.batch, task.weight_decay) == (epochs, batch, decay)
    assert task.published.lr == pytest.approx(lr)
    assert replace(task, batch=batch // 2).published.lr == pytest.approx(halved)
    assert task.momentum == 0.9
    assert task.trust == (0.001 if recipe == "simsiam" else 0.0)
    assert RECIPES[recipe].prints in task.protocol
    assert "arXiv" in task.protocol
    assert task.departures() == {}


def test_on_fewer_images_than_a_batch_the_rate_follows_the_real_batch(
    colours: Classification, ctx: Context
) -> None:
    task = next(task for task in linear.TASKS if task.recipe == "simsiam").resolved(colours, ctx)
    assert task.batch == 36
    assert task.published.lr == pytest.approx(0.1 * 36 / 256)
    assert "batch 36" in task.protocol.split("Not as in the recipe")[1]


def test_a_departure_from_the_recipe_is_said() -> None:
    task = replace(MOCO, epochs=10, precision="bfloat16")
    assert task.departures() == {"epochs": 10}
    assert "Not as in the recipe: epochs 10." in task.protocol
    assert "(eval mode, bfloat16; references: float32)" in task.protocol
    assert "Not as in the recipe" not in MOCO.protocol


def test_the_published_rate_equals_a_plain_loop_of_mocos_script(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, lr=0.5, lrs=(0.001,))
    found = run(task, tiny, colours, ctx, seed=3)

    fc = nn.Linear(8, 3)
    fc.weight.data.normal_(0, 0.01, generator=generator(3, "head"))
    fc.bias.data.zero_()
    sgd = torch.optim.SGD(fc.parameters(), 0.5, momentum=0.9, weight_decay=0)
    schedule = torch.optim.lr_scheduler.MultiStepLR(sgd, [3, 4], gamma=0.1)
    view = View(size=16, resize=16)
    centre, crops = centre_view(view, Preprocess()), [random_view(view, Preprocess(), smallest=0.3)]
    ((test, truth, _),) = normalised(ordered(colours.test, centre, 18), centre.normalise, "cpu")
    accuracy = []
    tiny.module.eval()
    for epoch in range(5):
        drawn = shuffled(colours.train, crops, 10, seed=3, epoch=epoch)
        for (x,), y, _ in normalised(drawn, centre.normalise, "cpu"):
            loss = cross_entropy(fc(tiny.module(x).detach()), y)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        schedule.step()
        with torch.no_grad():
            logits = fc(tiny.module(test[0]))
        accuracy.append(float((logits.argmax(1) == truth).double().mean() * 100))
    assert found.effective["lr"] == 0.5
    assert np.allclose(scores(found), logits.max(1).values, atol=1e-4)
    assert isinstance(found.examples, ClassificationOutcomes)
    assert found.examples.prediction.tolist() == logits.argmax(1).tolist()
    assert found.courses["published_top1"].values == pytest.approx(accuracy)
    assert found.values["published_last"] == pytest.approx(accuracy[-1])
    assert found.values["published_best"] == pytest.approx(max(accuracy))


def test_the_trunk_runs_once_per_image_whatever_the_number_of_heads(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    seen = []
    for lrs in ((0.1,), (0.01, 0.1, 1.0, 10.0, 30.0)):
        before = tiny.module.seen
        run(replace(TASK, lrs=lrs), tiny, colours, replace(ctx, cache=ctx.cache / str(len(lrs))))
        seen.append(tiny.module.seen - before)
    assert seen == [5 * 36 + 3 + 18] * 2  # five epochs, and the centre crops of held-out and test images


def test_workers_change_no_number(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    alone = run(TASK, tiny, colours, ctx)
    together = run(TASK, tiny, colours, replace(ctx, workers=2, cache=ctx.cache / "other"))
    assert np.array_equal(scores(alone), scores(together))
    assert alone.metrics == together.metrics
    assert alone.curves == together.curves


def test_it_learns_what_can_be_learnt_and_leaves_the_trunk_alone(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    tiny.module.train()  # as a caller in a training loop may hand it over
    outcome = run(TASK, tiny, colours, ctx)
    assert outcome.values["top1"] > 90
    assert outcome.effective["lr"] in (0.3, *TASK.lrs)
    assert outcome.values["oracle"] >= outcome.values["top1"]
    assert outcome.courses["train_loss"].values[-1] < outcome.courses["train_loss"].values[0]
    assert len(outcome.courses["train_loss"].values) == 5
    assert_unchanged(tiny)


def test_the_seed_draws_order_and_views(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    first, again, other = (run(TASK, tiny, colours, ctx, seed=s) for s in (0, 0, 1))
    assert np.array_equal(scores(first), scores(again))
    assert not np.array_equal(scores(first), scores(other))


def test_a_diverging_head_is_reported_and_the_number_is_anothers(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    both = run(replace(TASK, lr=1e6, weight_decay=1.0, lrs=(0.1,)), tiny, colours, ctx)
    alone = run(replace(TASK, lr=0.1, lrs=()), tiny, colours, ctx)
    assert both.effective["diverged"] == ["lr 1e+06, wd 1"]
    assert both.effective["lr"] == 0.1
    assert np.allclose(scores(both), scores(alone), atol=1e-5)
    assert "published_last" not in both.values
    assert both.values["oracle"] == both.values["top1"]


def test_features_that_are_no_numbers_are_refused(
    colours: Classification, ctx: Context, wrap: Callable[[nn.Module], Backbone]
) -> None:
    class Broken(nn.Module):
        dim = 2

        def forward(self, x: Tensor) -> Tensor:
            return x.new_full((len(x), 2), torch.nan)

    with pytest.raises(ValueError, match="NaN or infinite features"):
        run(TASK, wrap(Broken()), colours, ctx)


def test_with_one_image_a_class_the_published_setting_is_taken(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = TASK.resolved(colours, ctx).run(tiny, colours, seed=0, limit=3, ctx=ctx)
    assert (outcome.effective["lr"], outcome.effective["held_out_images"]) == (0.3, 0)
    assert outcome.values["top1"] == outcome.values["published_last"]
    assert not outcome.effective["as_published"]


def test_a_flip_of_false_changes_the_views(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    mirrored, straight = (run(replace(TASK, flip=f), tiny, colours, ctx) for f in (True, False))
    assert not np.array_equal(scores(mirrored), scores(straight))


def test_the_protocol_states_the_values_in_force(colours: Classification, ctx: Context) -> None:
    text = TASK.resolved(colours, ctx).protocol
    for part in (
        "5 epochs of SGD (rate 0.3, not scaled with the batch; weight decay 0, momentum 0.9, batch 10",
        "rate x0.1 after 60 % and 80 % of the training",
        "area 0.3 to 1",
        "and horizontal flip",
        "Learning rates 0.1, 1 with weight decays 0",
        "class-balanced 10 %",
        "main_lincls.py",
    ):
        assert part in text


@pytest.mark.parametrize("wrong", [{"lrs": (0.1, -1.0)}, {"epochs": 0}, {"smallest": 1.5}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(linear.TASKS[0], **wrong)


def test_crops_made_by_the_device_are_no_other_recipe_and_change_little(
    tiny: Backbone, colours: Classification, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = replace(TASK, augment_on="device", epochs=2)
    cpu = run(replace(there, augment_on="cpu"), tiny, colours, ctx)
    monkeypatch.delattr(DrawnView, "pixels")  # Pillow's way
    device = run(there, tiny, colours, ctx)
    assert torch.isfinite(torch.tensor(device.courses["train_loss"].values)).all()
    assert device.courses["train_loss"].values == pytest.approx(cpu.courses["train_loss"].values, rel=0.05)
    assert replace(MOCO, augment_on="device").departures() == {}
    assert replace(MOCO, augment_on="device").resolved(colours, ctx).unlike(MOCO, colours, ctx) == ()
    assert "pixels by the device within two grey levels of Pillow's" in there.protocol
    assert "augment_on" not in MOCO.settings()
    assert there.settings()["augment_on"] == "device"


def test_with_crops_made_by_the_device_workers_change_no_number(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, augment_on="device", epochs=1)
    alone, together = (run(task, tiny, colours, replace(ctx, workers=workers)) for workers in (0, 2))
    assert alone.metrics == together.metrics
    assert alone.curves == together.curves
