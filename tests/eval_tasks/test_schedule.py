import math

import pytest
import torch
from torch import nn

from eval_tasks._shared.schedule import Schedule
from eval_tasks.linear import TASKS as LINEAR
from eval_tasks.linear import Linear
from eval_tasks.semisup import TASKS as SEMISUP
from eval_tasks.semisup import Semisup

PER_EPOCH = 3


def steps_of(task: Linear | Semisup) -> int:
    return task.epochs * PER_EPOCH


def formula(task: Linear | Semisup, step: int) -> float:
    """The published rule, written out from each script."""
    epoch = step // PER_EPOCH
    match task.recipe:
        case "moco":  # main_lincls.py:605-610
            return 0.1 ** ((epoch >= 60) + (epoch >= 80))
        case "simclr":  # tf.train.cosine_decay by global step
            return 0.5 * (1 + math.cos(math.pi * step / steps_of(task)))
        case "swav" if isinstance(task, Semisup):  # MultiStepLR(12, 16), gamma 0.2
            return 0.2 ** ((epoch >= 12) + (epoch >= 16))
        case _:  # 0.5 * (1 + cos(pi * epoch / epochs))
            return 0.5 * (1 + math.cos(math.pi * epoch / task.epochs))


@pytest.mark.parametrize("task", [*LINEAR, *SEMISUP], ids=lambda t: t.name)
def test_every_recipes_learning_rate_follows_its_formula(task: Linear | Semisup) -> None:
    for step in range(steps_of(task)):
        assert task.fall.factor(step, steps_of(task), PER_EPOCH) == pytest.approx(formula(task, step))


@pytest.mark.parametrize("epochs", [1, 4, 5, 100])
def test_a_cosine_by_epoch_is_torchs(epochs: int) -> None:
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, epochs)
    fall = Schedule("cosine-by-epoch", (), 0.1)
    for epoch in range(epochs):
        assert fall.factor(epoch * 7 + 3, epochs * 7, 7) == pytest.approx(sgd.param_groups[0]["lr"])
        sgd.step()
        torchs.step()


@pytest.mark.parametrize("epochs", [1, 4, 5, 100])
def test_a_stepped_rate_drops_at_its_milestones(epochs: int) -> None:
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    milestones = [round(0.6 * epochs), round(0.8 * epochs)]
    torchs = torch.optim.lr_scheduler.MultiStepLR(sgd, milestones, gamma=0.1)
    fall = Schedule("step", (0.6, 0.8), 0.1)
    for epoch in range(epochs):
        assert fall.factor(epoch * 2, epochs * 2, 2) == pytest.approx(sgd.param_groups[0]["lr"])
        sgd.step()
        torchs.step()


def test_without_milestones_the_rate_is_constant() -> None:
    assert [Schedule("step", (), 0.1).factor(e, 3, 1) for e in range(3)] == [1.0, 1.0, 1.0]
