from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from eval_tasks._detection import resume
from eval_tasks._detection.batches import Batches
from eval_tasks._detection.precise_norm import take_statistics
from eval_tasks._detection.samples import TrainingSamples, mirrored, resized_size, with_objects
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.torchvision.detector import torchvision_detector
from eval_tasks._detection.training import FineTuning
from eval_tasks.coco import TASKS
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection import digit_scenes
from hsa_bench.core.data.detection.detection_data import DetectionData, DetectionSplit, open_coco
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.seed import forked
from tests.support.small_detector import PARTS

SMALL = {
    **PARTS,
    "iterations": 40,
    "train_sizes": (48, 64),
    "test_size": 64,
    "mask_dim": 8,
    "mask_layers": 1,
}
TASK = replace(next(task for task in TASKS if task.name == "coco-fpn-1x"), **SMALL)


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 8, "val": 4})


@pytest.fixture
def data(ctx: Context) -> DetectionData:
    return open_coco(digit_scenes.digit_scenes(ctx.cache), "digit-scenes")


def samples(split: DetectionSplit, task: DetectionTask = TASK) -> TrainingSamples:
    return TrainingSamples(split, Preprocess(), task, seed=0)


def test_every_epoch_draws_each_image_once() -> None:
    batches = Batches([1, 2, 3, 4, 5, 6], [True] * 6, batch=2, alike=1, iterations=6, seed=0)

    draws = list(chain(*batches))

    assert [epoch for epoch, _ in draws] == [0] * 6 + [1] * 6
    assert sorted(index for epoch, index in draws if epoch == 1) == [1, 2, 3, 4, 5, 6]
    assert draws[:6] != [(0, index) for _, index in draws[6:]]


def test_images_of_one_orientation_stand_together() -> None:
    wide = [i % 3 == 0 for i in range(20)]
    batches = Batches(range(20), wide, batch=4, alike=2, iterations=30, seed=0)

    seen = [[wide[index] for _, index in batch] for batch in batches]

    assert all(len(one) == 4 and one[0] == one[1] and one[2] == one[3] for one in seen)
    assert any(one[0] != one[2] for one in seen)


def test_batches_go_on_where_they_stopped() -> None:
    whole = Batches(range(9), [True] * 9, batch=2, alike=2, iterations=10, seed=3)

    assert list(replace(whole, start=4)) == list(whole)[4:]
    assert len(replace(whole, start=4)) == 6


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(500, 375, (800, 1067)), (375, 500, (1067, 800)), (1000, 200, (267, 1333)), (640, 480, (800, 1067))],
)
def test_the_shorter_side_is_resized_until_the_longer_meets_its_limit(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    assert resized_size(width, height, 800, 1333) == expected


def test_boxes_and_masks_follow_the_image(data: DetectionData) -> None:
    task = replace(TASK, train_sizes=(192,), flip=False)  # scenes have 96 px
    image, target = samples(data.train, task)[0, 0]

    assert image.shape == (3, 192, 192)
    for box, mask, instance in zip(target["boxes"], target["masks"], data.train.objects[0], strict=True):
        x, y, w, h = instance.bbox
        assert box.tolist() == pytest.approx([2 * x, 2 * y, 2 * (x + w), 2 * (y + h)])
        columns = torch.nonzero(mask.any(0))
        assert float(columns.min()) == pytest.approx(float(box[0]), abs=3)


def test_a_mirrored_sample_has_mirrored_boxes_and_masks(data: DetectionData) -> None:
    image, target = samples(data.train, replace(TASK, flip=False))[0, 0]

    other, changed = mirrored(image, target)

    assert torch.equal(other, image.flip(-1))
    assert torch.equal(changed["masks"], target["masks"].flip(-1))
    side = image.shape[-1]
    assert torch.allclose(changed["boxes"][:, [0, 2]], side - target["boxes"][:, [2, 0]])


def test_half_of_the_samples_are_mirrored_and_all_sizes_drawn(data: DetectionData) -> None:
    drawn = samples(data.train)
    plain = samples(data.train, replace(TASK, flip=False))

    pairs = [(drawn[epoch, 0][0], plain[epoch, 0][0]) for epoch in range(40)]

    assert 8 < sum(torch.equal(a, b) for a, b in pairs) < 32
    assert {a.shape[-1] for a, _ in pairs} == {48, 64}
    assert torch.equal(drawn[3, 0][0], drawn[3, 0][0])


def test_crowds_are_not_learnt_and_boxes_end_at_the_edge(data: DetectionData) -> None:
    split = data.train
    one, *_ = split.objects[0]
    reaching = replace(one, bbox=(-5.0, 80.0, 30.0, 40.0))
    crowd = replace(one, iscrowd=1)
    changed = replace(split, objects=((reaching, crowd), *split.objects[1:]))

    target = samples(changed).target(0, (96, 96))

    assert target["boxes"].tolist() == [[0, 80, 25, 96]]
    assert target["labels"].tolist() == [one.category_id - 1]  # ids run from 1 here
    assert len(target["masks"]) == 1
    assert with_objects(replace(split, objects=((crowd,), *split.objects[1:]))) == list(range(1, 8))


def test_statistics_of_batch_norm_are_the_mean_over_the_batches() -> None:
    norm = nn.BatchNorm2d(3)
    g = torch.Generator().manual_seed(0)
    batches = [torch.randn(4, 3, 5, 5, generator=g) * scale for scale in (1, 2, 3)]

    take_statistics(norm, norm, batches)

    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variances = torch.stack([batch.transpose(0, 1).flatten(1).var(1) for batch in batches]).mean(0)
    assert torch.allclose(norm.running_mean, means, atol=1e-6)  # type: ignore[arg-type]
    assert torch.allclose(norm.running_var, variances, atol=1e-6)  # type: ignore[arg-type]
    assert norm.momentum == 0.1


@pytest.mark.parametrize("head", ["c4", "fpn"])
def test_frozen_batch_norm_stays_as_it_was(data: DetectionData, ctx: Context, head: str) -> None:
    trunk = build("resnet50-w8" if head == "c4" else "resnet18-w16")
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    task = replace(TASK, head=head, norm="frozen", iterations=2)
    detector = torchvision_detector(trunk, 10, task)

    FineTuning(detector, samples(data.train, task), task, 0, ctx).run()

    within = {"c4": "body.below.", "fpn": "body.trunk."}[head]
    after = {name.removeprefix(within): value for name, value in detector.state_dict().items()}
    assert sum("running_mean" in name for name in after) == sum("running_mean" in name for name in before)
    assert not torch.equal(after["conv1.weight"], before["conv1.weight"])
    for name in ("bn1.weight", "bn1.running_mean", "layer1.0.bn1.running_var"):
        assert torch.equal(after[name], before[name])


class Killed(Exception):
    """Stands for the end of a process."""


def test_a_stopped_training_goes_on_from_its_last_checkpoint(data: DetectionData, ctx: Context) -> None:
    def tune(ctx: Context) -> tuple[dict[str, torch.Tensor], dict[str, list[float]]]:
        with forked(0, "heads"):
            detector = torchvision_detector(build("resnet18-w16"), 10, TASK)
        training = FineTuning(detector, samples(data.train), TASK, 0, ctx).run()
        return detector.state_dict(), training.losses

    whole, losses = tune(ctx)
    seen: list[int] = []

    def stop(description: str, done: int, total: int) -> None:
        seen.append(done)
        if done == 25:
            raise Killed

    folder = replace(ctx, artefacts=ctx.artefacts.with_name("again"))
    with pytest.raises(Killed):
        tune(replace(folder, progress=stop))
    seen.clear()
    said: list[str] = []
    resumed, again = tune(replace(folder, progress=lambda _, done, __: seen.append(done), say=said.append))

    assert seen[0] == 25  # saved after 24
    assert said == ["goes on after iteration 24"]
    assert again == losses
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def tuned(ctx: Context, data: DetectionData) -> dict[str, list[float]]:
    with forked(0, "heads"):
        detector = torchvision_detector(build("resnet18-w16"), 10, replace(TASK, iterations=1))
    return FineTuning(detector, samples(data.train), replace(TASK, iterations=1), 0, ctx).run().losses


@pytest.mark.parametrize(
    "damage", ["cut off", "text", "another network", "another optimiser", "not a mapping"]
)
def test_a_damaged_checkpoint_is_set_aside_and_training_begins_anew(
    data: DetectionData, ctx: Context, damage: str
) -> None:
    undisturbed = tuned(ctx, data)
    path = ctx.scratch("training")
    state = torch.load(path, weights_only=True)
    match damage:
        case "cut off":
            path.write_bytes(path.read_bytes()[:5000])
        case "text":
            path.write_text("out of space")
        case "another network":
            name = next(iter(state["network"]))
            torch.save({**state, "network": {**state["network"], name: torch.zeros(2)}}, path)
        case "another optimiser":
            torch.save({**state, "optimiser": {"state": {}, "param_groups": []}}, path)
        case "not a mapping":
            torch.save([1, 2], path)

    said: list[str] = []
    assert tuned(replace(ctx, say=said.append), data) == undisturbed
    assert "run.training.part: damaged (" in said[0]
    assert "set aside as run.training.part.broken" in said[0]
    assert path.with_name("run.training.part.broken").exists()


def test_a_finished_training_is_on_file_and_is_not_done_again(
    data: DetectionData, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SAVES", 2)
    task = replace(TASK, iterations=5)  # saved after 2, 4 and the last

    def iterations() -> list[int]:
        seen: list[int] = []
        with forked(0, "heads"):
            detector = torchvision_detector(build("resnet18-w16"), 10, task)
        heard = replace(ctx, progress=lambda _, done, __: seen.append(done))
        FineTuning(detector, samples(data.train), task, 0, heard).run()
        return seen

    assert (len(iterations()), iterations()) == (5, [])


def test_resizing_is_pillows(data: DetectionData) -> None:
    task = replace(TASK, train_sizes=(48,), flip=False)
    image, _ = samples(data.train, task)[0, 0]

    picture = data.train.images[0].resize((48, 48), Image.Resampling.BILINEAR)
    levels = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
    expected = (levels - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array([0.229, 0.224, 0.225])[
        :, None, None
    ]
    assert np.allclose(image.numpy(), expected, atol=1e-5)
