import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from eval_tasks import semisup
from eval_tasks._finetune.finetune import Rates, with_head
from hsa_bench.core.context import Context
from hsa_bench.core.data.device_views import normalised
from hsa_bench.core.data.image_set import Classification, label_subset, subset_hash
from hsa_bench.core.data.loading import ordered, shuffled
from hsa_bench.core.data.views import View, centre_view, random_view
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.seed import forked
from tests.support.evaluation import ON_ONE_THREAD, run, scores

ONE, TEN = semisup.TASKS[:2]
TASK = replace(TEN, fraction=0.5, steps=8, batch=6, rates=((0.01, 0.2),), smallest=0.3)

pytestmark = ON_ONE_THREAD


def test_the_defaults_are_swavs() -> None:
    assert (ONE.fraction, ONE.trunk_lr, ONE.head_lr) == (0.01, 0.02, 5.0)
    assert (TEN.fraction, TEN.trunk_lr, TEN.head_lr) == (0.1, 0.01, 0.2)
    for task in (ONE, TEN):
        assert (task.batch, task.epochs, task.gamma, task.milestones) == (256, 20, 0.2, (0.6, 0.8))
        assert (task.steps, len(task.rates)) == (1000, 4)


@pytest.mark.parametrize(
    ("name", "rates", "epochs", "batch"),
    [  # as published
        ("semisup-1", (0.02, 5.0), 20, 256),
        ("semisup-10", (0.01, 0.2), 20, 256),
        ("semisup-1-simclr", (0.8, 0.8), 60, 4096),
        ("semisup-10-simclr", (0.8, 0.8), 30, 4096),
        ("semisup-1-barlow", (0.005, 0.5), 20, 256),
        ("semisup-10-barlow", (0.005, 0.5), 20, 256),
        ("semisup-1-vicreg", (0.03, 0.08), 20, 256),
        ("semisup-10-vicreg", (0.01, 0.1), 20, 256),
    ],
)
def test_a_recipe_has_its_papers_numbers(
    name: str, rates: tuple[float, float], epochs: int, batch: int
) -> None:
    task = next(task for task in semisup.TASKS if task.name == name)
    assert tuple(task.published_rates) == pytest.approx(rates)
    assert (task.epochs, task.batch, task.momentum, task.weight_decay) == (epochs, batch, 0.9, 0.0)
    assert task.nesterov == ("simclr" in name)
    assert "arXiv" in task.protocol


def test_imagenet_has_the_published_budget_and_other_data_a_number_of_steps(
    colours: Classification, ctx: Context
) -> None:
    there = ONE.resolved(replace(colours, name="imagenet", image_size=224, resize=256), ctx)
    assert "epochs: 20, at rates trunk 0.02, head 5" in there.protocol
    assert "Not as in" not in there.protocol
    assert "Not as in the recipe: epochs 1, batch 64." in replace(there, epochs=1, batch=64).protocol
    assert there.length(12_811) == (20 * 51, 51)
    here = ONE.resolved(colours, ctx)
    assert "1000 steps (ours; the recipe's 20 epochs" in here.protocol
    assert here.length(500) == (1000, 1)


def test_it_equals_a_plain_loop_of_torch(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    found = run(TASK, tiny, colours, ctx, seed=2)

    drawn = label_subset(colours.train.labels, 0.5, seed=2)
    subset = colours.train.subset(drawn)
    with forked(2, "fine-tune"):
        net = with_head(tiny, 3)
    trunk, head = net
    groups = [{"params": trunk.parameters(), "lr": 0.01}, {"params": head.parameters(), "lr": 0.2}]
    sgd = torch.optim.SGD(groups, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(sgd, [5, 6], gamma=0.2)
    view = View(size=16, resize=16)
    crops = [random_view(view, Preprocess(), smallest=0.3)]
    net.train()
    step = 0
    for epoch in range(3):  # 18 labelled images, batch 6: three steps each
        batches = shuffled(subset, crops, 6, seed=2, epoch=epoch)
        for (x,), y, _ in normalised(batches, crops[0].normalise, "cpu"):
            if step == 8:
                break
            loss = cross_entropy(net(x), y)
            assert found.courses["train_loss"].values[step] == pytest.approx(loss.item(), rel=1e-3)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            schedule.step()
            step += 1
    net.eval()
    centre = centre_view(view, Preprocess())
    ((x,), _, _) = next(normalised(ordered(colours.test, centre, 18), centre.normalise, "cpu"))
    assert np.allclose(scores(found), net(x).detach().max(1).values, atol=1e-3)
    assert found.effective["subset"] == subset_hash(colours.train.examples, drawn)


def test_workers_change_no_number(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    alone, together = (run(TASK, tiny, colours, replace(ctx, workers=w)) for w in (0, 2))
    assert np.array_equal(scores(alone), scores(together))
    assert alone.metrics == together.metrics
    assert alone.curves == together.curves


def test_it_learns_and_works_on_a_copy(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    outcome = run(replace(TASK, steps=40), tiny, colours, ctx)
    assert outcome.values["top1"] > 90
    assert outcome.effective["labelled_images"] == 18
    assert outcome.effective["epochs"] == pytest.approx(13.33)
    assert_unchanged(tiny)


def test_trunk_and_head_have_rates_of_their_own(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, rates=((0.0, 0.2),)).resolved(colours, ctx)
    net = with_head(tiny, 3)
    assert [g["lr"] for g in task.optimiser(net, Rates(0.0, 0.2)).param_groups] == [0.0, 0.2]
    moved = scores(run(TASK, tiny, colours, ctx))
    assert not np.allclose(scores(run(task, tiny, colours, ctx)), moved, atol=1e-3)


def test_a_frozen_trunk_handed_over_is_fine_tuned_all_the_same(tiny: Backbone) -> None:
    tiny.module.requires_grad_(False)
    assert all(p.requires_grad for p in with_head(tiny, 3).parameters())


def test_the_seed_draws_the_subset(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    first, again, other = (run(TASK, tiny, colours, ctx, seed=s) for s in (0, 0, 1))
    assert np.array_equal(scores(first), scores(again))
    assert first.effective["subset"] == again.effective["subset"] != other.effective["subset"]


def test_one_image_a_class_is_a_batch_of_its_own(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = run(replace(ONE, steps=5), tiny, colours, ctx)
    assert outcome.effective["labelled_images"] == outcome.effective["batch"] == 3
    assert outcome.effective["epochs"] == 5


def test_batch_norm_takes_a_batch_of_one(
    colours: Classification, ctx: Context, wrap: Callable[[nn.Module], Backbone], tmp_path: Path
) -> None:
    trunk = build("resnet18-w16")  # its last map is a single pixel on images this small
    (tmp_path / "one.txt").write_text(colours.train.examples[4])
    task = replace(ONE, subset=str(tmp_path / "one.txt"), steps=2, rates=((0.0, 0.1),))
    outcome = run(task, wrap(trunk), colours, ctx)
    assert outcome.effective["labelled_images"] == 1
    assert len(outcome.courses["train_loss"].values) == 2
    run(replace(ONE, batch=1, steps=2, rates=((0.02, 0.1),)), wrap(trunk), colours, ctx)


def test_a_list_file_names_the_subset_and_its_content_is_in_the_settings(
    tiny: Backbone, colours: Classification, ctx: Context, tmp_path: Path
) -> None:
    chosen, path = [0, 1, 2, 6], tmp_path / "list.txt"
    path.write_text("\n".join(colours.train.examples[i] for i in chosen))
    task = replace(TASK, subset=str(path))
    planned = task.resolved(colours, ctx)
    outcome = run(task, tiny, colours, ctx)
    digest = subset_hash(colours.train.examples, chosen)
    assert planned.settings()["subset_digest"] == outcome.effective["subset"] == digest
    assert outcome.effective["labelled_images"] == 4
    assert "the images listed in list.txt" in planned.protocol

    path.write_text("\n".join(colours.train.examples[i] for i in (0, 1, 2, 7)))
    assert task.resolved(colours, ctx).subset_digest != digest
    for late in (
        lambda: planned.resolved(colours, ctx),
        lambda: planned.run(tiny, colours, seed=0, limit=None, ctx=ctx),
    ):
        with pytest.raises(DataError, match="were planned with"):
            late()


def test_a_limit_leaves_a_listed_subset_readable(
    tiny: Backbone, colours: Classification, ctx: Context, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("\n".join(colours.train.examples[:12]))
    task = replace(TASK, subset=str(tmp_path / "list.txt")).resolved(colours, ctx)
    outcome = task.run(tiny, colours, seed=0, limit=6, ctx=ctx)
    assert outcome.effective["labelled_images"] == 6
    assert len(scores(outcome)) == 6


def test_what_has_no_weights_is_not_fine_tuned(tiny: Backbone, wrap: Callable[[nn.Module], Backbone]) -> None:
    pixels = replace(wrap(build("pixels")), label="pixels")
    assert ONE.unsupported(pixels) == "pixels has nothing to fine-tune"
    assert ONE.unsupported(tiny) == ""


def test_labels_held_out_of_the_subset_choose_the_rates(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    pairs = ((0.0, 1e-6), (0.01, 0.2), (0.01, 1e6))
    outcome = run(replace(TASK, rates=pairs, steps=20, weight_decay=0.01), tiny, colours, ctx)
    assert outcome.effective["rates"] == "trunk 0.01, head 0.2"
    assert outcome.effective["diverged"] == ["trunk 0.01, head 1e+06"]
    assert outcome.effective["held_out_images"] == 3  # a fifth of six a class
    single = run(replace(TASK, rates=pairs[1:2], steps=20, weight_decay=0.01), tiny, colours, ctx)
    assert np.array_equal(scores(outcome), scores(single))  # then all of the subset is learnt from


def test_of_equally_good_pairs_the_first_is_taken(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    alike = ((0.0, 1e-9), (0.0, 1e-8), (0.0, 1e-7))  # nothing is learnt
    outcome = run(replace(TASK, rates=alike, steps=2), tiny, colours, ctx)
    assert len(set(outcome.effective["held_out_top1"].values())) == 1
    assert outcome.effective["rates"] == "trunk 0, head 1e-09"


def test_the_first_pair_is_taken_where_no_label_can_be_spared(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = run(replace(ONE, steps=2), tiny, colours, ctx)  # one image a class
    assert outcome.effective["rates"] == "trunk 0.01, head 0.2 (no label to spare)"


def test_a_published_epoch_has_its_smaller_last_batch(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, budget="published", epochs=2, batch=7)  # 18 labelled images
    outcome = run(task, tiny, colours, ctx)
    assert len(outcome.courses["train_loss"].values) == 6
    assert outcome.effective["rates"] == "trunk 0.01, head 0.2"
    assert outcome.effective["epochs"] == 2


def test_a_diverging_loss_is_an_error_that_names_the_rates(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, steps=30, rates=((0.01, 1e6),), weight_decay=1.0)
    with pytest.raises(ValueError, match=r"initial rates \[0\.01, 1000000\.0\]; lower them"):
        run(task, tiny, colours, ctx)


def test_the_protocol_states_the_values_in_force(colours: Classification, ctx: Context) -> None:
    text = replace(ONE, steps=50, rates=((0.02, 5.0),), flip=False).resolved(colours, ctx).protocol
    for part in (
        "1 % of each class (at least one image)",
        "50 steps (ours; the recipe: 20 epochs) at rates trunk 0.02, head 5, batch 256",
        "rate x0.2 after 60 % and 80 % of the training",
        "SGD (momentum 0.9, weight decay 0)",
        "and no flip",
        "eval_semisup.py:62-70",
    ):
        assert part in text


def test_settings_survive_json(colours: Classification, ctx: Context) -> None:
    task = TASK.resolved(colours, ctx)
    assert semisup.Semisup(**json.loads(json.dumps(asdict(task)))) == task
