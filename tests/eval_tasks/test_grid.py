from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from eval_tasks._linear.grid import Grid, Point, held_out_rows
from eval_tasks.linear_cached import TASKS, LinearCached
from hsa_bench.core.features.extract import FeatureSet

TASK = replace(TASKS[0], lrs=(0.01, 1.0), weight_decays=(0.0,), held_out=0.25)

pytestmark = pytest.mark.usefixtures("one_thread")


def features(count: int = 40, seed: int = 0, scale: float = 1.0) -> FeatureSet:
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    x = torch.randn(count, 5, generator=g) + 2.0 * labels[:, None] - 1.0
    return FeatureSet(features=x * scale, labels=labels, classes=2, key="test")


def grid_of(train: FeatureSet, seed: int = 0, task: LinearCached = TASK) -> Grid:
    rows = held_out_rows(train.labels.numpy(), task.held_out)
    judge = replace(train, features=train.features[rows], labels=train.labels[rows])
    return task.grid(train.labels.numpy(), 5, judge, seed, "cpu")


RIGHT = torch.tensor([[-1.0] * 5, [1.0] * 5])


def trained(grid: Grid, train: FeatureSet, steps: int = 30) -> Grid:
    for step in range(steps):
        index = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(step))[:20]
        grid.step(train.features[index], index, 1.0)
    return grid


def test_the_held_out_part_is_class_balanced_and_fixed() -> None:
    labels = np.repeat([0, 1, 2], [10, 40, 100])
    rows = held_out_rows(labels, 0.1)
    assert np.bincount(labels[rows.numpy()]).tolist() == [1, 4, 10]
    assert torch.equal(rows, held_out_rows(labels, 0.1))


def test_a_class_keeps_its_only_image_for_training() -> None:
    assert held_out_rows(np.array([0, 1, 1]), 0.1)[0].item() is False
    assert not held_out_rows(np.array([0, 1, 2]), 0.1).any()


def test_head_b_never_learns_from_what_it_is_judged_on() -> None:
    train = features()
    grid = grid_of(train)
    other = replace(train, labels=torch.where(grid.held_out, 1 - train.labels, train.labels))
    assert int(grid.held_out.sum()) == 10
    first = trained(grid, train).heads.weight
    second = trained(replace(grid_of(train), labels=other.labels), other).heads.weight
    assert torch.equal(first[2:], second[2:])  # the B heads
    assert not torch.allclose(first[:2], second[:2], atol=1e-3)  # the A heads


def test_all_heads_start_from_one_draw_of_the_seed() -> None:
    heads = grid_of(features()).heads
    weight = heads.weight
    assert torch.equal(weight, weight[:1].expand_as(weight))
    assert heads.bias.abs().sum() == 0.0
    assert 0.005 < float(weight[0].std()) < 0.02
    assert torch.equal(weight, grid_of(features()).heads.weight)
    assert not torch.equal(weight, grid_of(features(), seed=1).heads.weight)


def test_the_rate_is_that_of_the_b_head_with_the_best_held_out_accuracy() -> None:
    train = features()
    grid = grid_of(train)
    grid.heads.weight[0] = RIGHT  # A of the first rate; must not matter
    grid.heads.weight[2], grid.heads.weight[3] = -RIGHT, RIGHT
    choice = grid.choose()
    assert choice.head == 1
    assert choice.effective["lr"] == 1.0
    [sweep] = choice.sweeps
    (low, _, worse), (high, _, better) = sweep.points
    assert (low, high) == (0.01, 1.0) and sweep.own == (1.0, 0.0) and sweep.chosen
    assert worse < 10 and better > 90
    assert choice.effective["held_out_images"] == 10


def test_equal_accuracies_go_to_the_lower_loss() -> None:
    grid = grid_of(features())
    grid.heads.weight[2], grid.heads.weight[3] = RIGHT * 1e-3, RIGHT
    assert grid.choose().head == 1
    grid.heads.weight[2], grid.heads.weight[3] = RIGHT, RIGHT * 1e-3
    assert grid.choose().head == 0


@pytest.mark.parametrize("diverged", [1, 3])
def test_a_rate_whose_a_or_b_diverged_is_reported_and_never_chosen(diverged: int) -> None:
    grid = trained(grid_of(features()), features())
    grid.heads.weight[diverged] = torch.nan
    choice = grid.choose()
    assert choice.head == 0
    assert choice.effective["diverged"] == ["lr 1, wd 0"]
    assert [point[:2] for point in choice.sweeps[0].points] == [(0.01, 0.0)]


def test_no_number_is_given_where_every_rate_diverged() -> None:
    grid = grid_of(features())
    grid.heads.weight[:] = torch.inf
    with pytest.raises(ValueError, match=r"every head diverged, at lr 0\.01, wd 0; lr 1, wd 0"):
        grid.choose()


def test_large_features_choose_a_small_rate_and_small_ones_a_large_rate() -> None:
    task = replace(TASKS[0], lrs=(1e-5, 1e-3, 0.1, 10.0), held_out=0.25)
    chosen = []
    for scale in (100.0, 0.01):
        train = features(200, scale=scale)
        chosen.append(trained(grid_of(train, task=task), train, steps=40).choose().effective["lr"])
    assert chosen[0] < chosen[1]


def test_the_grid_is_every_rate_with_every_decay() -> None:
    points = replace(TASK, weight_decays=(0.0, 0.1)).points
    assert points == (Point(0.01, 0.0), Point(0.01, 0.1), Point(1.0, 0.0), Point(1.0, 0.1))
    assert len(TASKS[0].points) == 30


def test_oracle_is_the_best_a_head_on_test_whatever_was_chosen() -> None:
    train, test = features(), features(seed=1)
    grid = grid_of(train)
    grid.heads.weight[0], grid.heads.weight[1] = RIGHT, -RIGHT
    grid.heads.weight[2], grid.heads.weight[3] = -RIGHT, RIGHT  # the B heads mislead
    assert grid.choose().head == 1
    judged = grid.judged(test, slice(2))
    assert float(judged.top1[0]) > 90
    assert float(judged.top1[1]) < 10
    expected = (test.features.sum(1) > 0).long() == test.labels
    assert float(judged.top1[0]) == pytest.approx(float(expected.double().mean() * 100))


class Waits(TorchDispatchMode):
    """Operations that would wait for a device: numbers read, and sizes that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if any(name in str(func) for name in ("_local_scalar_dense", "nonzero", "masked_select", "unique")):
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def waits(work: Callable[[], object]) -> list[str]:
    with Waits() as found:
        work()
    return found.seen


def test_a_step_of_the_grid_waits_for_nothing() -> None:
    train = features()
    grid = grid_of(train)
    index = torch.arange(20)
    assert waits(lambda: float(train.features.sum())) != []  # what is looked for is seen
    assert waits(lambda: grid.step(train.features[index], index, 1.0)) == []
    assert waits(lambda: grid.end_epoch(1)) == []
    assert waits(lambda: grid.judged(train, slice(0, 2))) == []
