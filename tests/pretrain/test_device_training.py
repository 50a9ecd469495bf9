"""Training on views that the device makes: here the CPU plays the device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hsa_bench.core.context import Context
from hsa_bench.core.data.drawn_view import DrawnView
from hsa_bench.core.models.backbone import weights_hash
from pretrain.export import notes
from pretrain.loop import Training
from pretrain.progress import Progress
from pretrain.settings import Settings
from pretrain.task import TASKS
from tests.support.training import digits_training

SMALL = Settings(
    epochs=2,
    batch=8,
    queue=16,
    augment="moco-v2",
    augment_on="device",
    head_bn="hidden",
    k=3,
    refresh=1,
    knn_every=0,
)
HSA = replace(SMALL, method="hsa", crops=(24, 16))

# From Python 3.12 on a fork beside torch's threads warns; loader processes never use those threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def training(settings: Settings, ctx: Context) -> Training:
    return digits_training(settings, ctx, "resnet18-w8", 24)


def trained(settings: Settings, ctx: Context, resume: Path) -> Training:
    done = training(settings, ctx)
    done.run(resume)
    return done


@pytest.mark.parametrize(
    "settings", [replace(SMALL, method="moco"), replace(SMALL, method="simclr", augment="digits"), HSA]
)
def test_every_method_trains_on_the_same_views(
    settings: Settings, ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, epochs=1)
    cpu = trained(replace(settings, augment_on="cpu"), ctx, tmp_path / "b")
    monkeypatch.delattr(DrawnView, "pixels")  # Pillow's way
    device = trained(settings, ctx, tmp_path / "a")
    losses = device.progress.curves["loss"]
    assert torch.isfinite(torch.tensor(losses)).all()
    assert losses[0] == pytest.approx(cpu.progress.curves["loss"][0], rel=0.1)
    assert device.progress.step_flops == cpu.progress.step_flops  # making views is no part of a step


def test_each_view_is_pillows_of_the_same_picture(ctx: Context) -> None:
    """Own views, a neighbour's and small crops: every one to a level or two."""
    made: list[list[torch.Tensor]] = []
    for augment_on in ("device", "cpu"):
        work = training(replace(HSA, augment_on=augment_on), ctx)
        work._mine(0)
        made.append(next(work._batches(range(1))))
    assert [tuple(view.shape[1:]) for view in made[0]] == [(3, 32, 32)] * 4 + [(3, 24, 24), (3, 16, 16)]
    std = torch.tensor(work.backbone.card.std)[:, None, None]
    for device, cpu in zip(*made, strict=True):
        levels = ((device - cpu) * std * 255).abs()
        assert levels.mean() < 0.5
        assert levels.quantile(0.99) < 2.5


def test_loader_processes_change_nothing(ctx: Context, tmp_path: Path) -> None:
    settings = replace(HSA, epochs=1)
    one = trained(settings, ctx, tmp_path / "a")
    two = trained(settings, replace(ctx, workers=2), tmp_path / "b")
    assert weights_hash(one.method) == weights_hash(two.method)


class Stopped(Exception):
    """The process ends here."""


def test_stopped_and_started_again_it_ends_with_the_same_weights(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SMALL, method="moco")
    undisturbed, stopped = trained(settings, ctx, tmp_path / "a"), training(settings, ctx)
    save = type(stopped.resumable).save

    def then_stop(self: Any, path: Path, progress: Progress) -> None:
        save(self, path, progress)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(type(stopped.resumable), "save", then_stop)
        with pytest.raises(Stopped):
            stopped.run(tmp_path / "b")
    resumed = trained(settings, ctx, tmp_path / "b")
    assert weights_hash(resumed.method) == weights_hash(undisturbed.method)


def test_it_is_said_and_keyed_only_where_chosen() -> None:
    assert "augment_on device (cpu)" in notes(SMALL)
    assert not any("augment_on" in note for note in notes(Settings()))
    (plain,) = TASKS
    there = replace(plain, augment_on="device")
    assert "augment_on" not in plain.settings()
    assert there.settings()["augment_on"] == "device"
    assert there.protocol.endswith("augmentation moco-v2 (pixels on the device).")
