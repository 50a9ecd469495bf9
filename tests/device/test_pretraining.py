from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hsa_bench.core.context import Context
from pretrain.loop import Training
from pretrain.precision import computing
from pretrain.settings import Settings
from tests.support.training import digits_training

Figure = Callable[..., None]
METHODS = ("moco", "simclr", "hsa")
HALF = "bf16-mixed"


def small(tiny: bool, **changes: Any) -> Settings:
    batch = 8 if tiny else 64
    given: dict[str, Any] = {"epochs": 2 if tiny else 6, "batch": batch, "queue": 2 * batch, "knn_every": 0}
    return Settings(**{**given, "augment": "digits", "head_bn": "hidden", "k": 3, "refresh": 2, **changes})


def training(settings: Settings, ctx: Context, tiny: bool, pooled: bool = False) -> Training:
    arch, count = ("resnet18-w8-s2", 20) if tiny else ("resnet18-cifar", 512)
    arch = ("resnet18-w8" if tiny else "resnet18") if pooled else arch
    work = digits_training(settings, ctx, arch, count)
    work.counting = False
    return work


def views_for(work: Training) -> list[Tensor]:
    """What a step takes, drawn on the CPU."""
    g = torch.Generator().manual_seed(0)
    sides = [32] * (4 if work.method.pairs else 2) + list(work.method.crops)
    return [torch.randn(work.settings.part, 3, side, side, generator=g).to(work.ctx.device) for side in sides]


def losses(work: Training, steps: int) -> list[float]:
    """Of steps on the same views."""
    work.method.begin(9)
    loader = iter([views_for(work)] * steps)
    return [float(work._step(9, step, loader)["loss"]) for step in range(steps)]


@pytest.mark.parametrize("method", METHODS)
def test_steps_in_float32_are_the_cpus(
    method: str, tiny: bool, here: Context, there: Context, figure: Figure
) -> None:
    settings, steps = small(tiny, method=method), 2 if tiny else 8
    cpu, gpu = (losses(training(settings, ctx, tiny), steps) for ctx in (here, there))
    far = [abs(a - b) / abs(a) for a, b in zip(cpu, gpu, strict=True)]
    figure("difference of the first loss over the loss", far[0], at_most=1e-4)
    figure("of any of the steps", max(far), at_most=1e-2, note=f"{steps} steps")


@pytest.mark.parametrize("method", METHODS)
def test_in_bfloat16_the_loss_is_finite_and_falls(
    method: str, tiny: bool, there: Context, figure: Figure
) -> None:
    steps = 3 if tiny else 60  # as many as show that it runs
    found = torch.tensor(losses(training(small(tiny, method=method, precision=HALF), there, tiny), steps))
    assert torch.isfinite(found).all()
    third = steps // 3
    ratio = float(found[-third:].mean() / found[:third].mean())
    figure("last third's loss over the first third's", ratio, at_most=100.0 if tiny else 1.0)


@pytest.mark.usefixtures("one_thread")
def test_steps_through_a_max_pool_give_the_same_bits_twice(tiny: bool, there: Context) -> None:
    """As ImageNet's ResNets have one, whose gradients may be added in any order."""
    states = []
    for _ in range(2):
        work = training(small(tiny, method="moco"), there, tiny, pooled=True)
        with computing("32-true", work.fabric.device):
            losses(work, 2 if tiny else 8)
        states.append(work.method.state_dict())
    other = [name for name, x in states[0].items() if not torch.equal(x, states[1][name])]
    assert not other, f"other bits in {', '.join(other[:5])} …"


@contextmanager
def no_waiting(on_gpu: bool) -> Iterator[None]:
    """Let every wait for the device be an error; nothing on the CPU."""
    if not on_gpu:
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


STEPS: dict[str, dict[str, Any]] = {
    "moco": {"method": "moco"},
    "moco in bfloat16": {"method": "moco", "precision": HALF},
    "simclr": {"method": "simclr"},
    "simclr by LARS": {"method": "simclr", "optimiser": "lars"},
    "hsa": {"method": "hsa", "levels": (2, 3)},
    "hsa with crops in bfloat16": {"method": "hsa", "crops": (24,), "precision": HALF},
}


@pytest.mark.parametrize("case", STEPS)
def test_a_step_does_not_wait_for_the_device(case: str, tiny: bool, on_gpu: bool, there: Context) -> None:
    work = training(small(tiny, **STEPS[case]), there, tiny)
    work.method.begin(9)
    warm, further = (0, 1) if tiny else (3, 5)
    loader = iter([views_for(work)] * (warm + further))
    for step in range(warm):
        work._step(9, step, loader)
    with no_waiting(on_gpu):
        for step in range(warm, warm + further):
            work._step(9, step, loader)


def train(settings: Settings, ctx: Context, tiny: bool, resume: Path) -> Training:
    work = training(settings, ctx, tiny)
    work.run(resume)
    return work


def train_on_one_thread(*arguments: Any) -> None:
    torch.set_num_threads(1)  # as the one that goes on: the CPU would round otherwise
    train(*arguments)


def kill(settings: Settings, there: Context, tiny: bool, resume: Path) -> None:
    """Train in a process of its own until it has written the resume file, then kill it."""
    spawn = multiprocessing.get_context("spawn")  # a forked one could not use the GPU
    child = spawn.Process(target=train_on_one_thread, args=(settings, there, tiny, resume))
    child.start()
    deadline = time.monotonic() + 120
    while not resume.exists() and child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()


class Stopped(Exception):
    """By whoever watches."""


def stop(settings: Settings, there: Context, tiny: bool, resume: Path) -> None:
    """Train until the resume file is written and somebody stops it in the epoch after."""

    def progress(description: str, done: int, total: int) -> None:
        if resume.exists():
            raise Stopped

    with pytest.raises(Stopped):
        train(settings, replace(there, progress=progress), tiny, resume)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("how", "precision"), [(kill, "32-true"), (stop, HALF)], ids=["killed", "stopped, bfloat16"]
)
def test_started_again_it_ends_with_the_same_bits(
    how: Callable[..., None], precision: str, tiny: bool, there: Context, tmp_path: Path
) -> None:
    settings = small(tiny, method="hsa", precision=precision)
    undisturbed = train(settings, there, tiny, tmp_path / "other")
    how(settings, there, tiny, tmp_path / "resume")
    said: list[str] = []
    resumed = train(settings, replace(there, say=said.append), tiny, tmp_path / "resume")
    assert said and said[0].startswith("goes on after epoch ")
    expected = undisturbed.method.state_dict()
    other = [name for name, x in resumed.method.state_dict().items() if not torch.equal(x, expected[name])]
    assert not other, f"other bits in {', '.join(other[:5])} …"
