from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hsa_bench.core.backbone import weights_hash
from hsa_bench.core.checkpoint import load_checkpoint
from hsa_bench.core.data import ImageSet
from hsa_bench.core.open_dataset import open_dataset
from hsa_bench.core.request import BackboneRequest
from hsa_bench.core.task import Context
from hsa_bench.core.views import View
from pretrain.export import budget, export
from pretrain.loop import Training, rate
from pretrain.preflight import PretrainingError, check
from pretrain.settings import Settings

SMALL = Settings(
    epochs=3, batch=16, queue=32, augment="digits", head_bn=True, k=3, refresh=2, warmup=0.3, knn_every=2
)
METHODS = ["moco", "simclr", "hsa"]


def images() -> ImageSet:
    return open_dataset("digits", Path()).limited(64).train


def training(settings: Settings, ctx: Context, **given: Any) -> Training:
    request = BackboneRequest(label="x", arch="resnet18-w16")
    return Training(settings, request.load(), images(), View(32, 32), given.pop("seed", 0), ctx, **given)


def trained(settings: Settings, ctx: Context, resume: Path, **given: Any) -> Training:
    done = training(settings, ctx, **given)
    done.run(resume)
    return done


@pytest.mark.parametrize("method", METHODS)
def test_every_method_moves_the_trunk_and_says_what_it_cost(
    method: str, ctx: Context, tmp_path: Path
) -> None:
    settings = replace(SMALL, method=method)
    done = trained(settings, ctx, tmp_path / "resume", scalars=tmp_path / "scalars")
    assert weights_hash(done.method.encoder.trunk) != done.backbone.weights
    assert len(done.progress.curves["loss"]) == 3
    assert len(done.progress.curves["knn"]) == 2
    assert list((tmp_path / "scalars").glob("events.*"))
    spent = budget(done, "digits")
    assert (spent.images, spent.views) == (3 * 64, {"moco": 2, "simclr": 2, "hsa": 5}[method])
    assert {"batch 16 (256)", "epochs 3 (200)"} <= set(spent.notes)

    export(done, tmp_path / "file.pth", spent)
    backbone = load_checkpoint(tmp_path / "file.pth", "x")
    assert backbone.weights == weights_hash(done.method.encoder.trunk)
    assert backbone.source.budget == spent


def _train_until_killed(settings: Settings, folder: Path) -> None:
    os.chdir(folder)
    torch.set_num_threads(2)
    trained(settings, Context(data_root=folder, cache=folder), folder / "resume")


@pytest.mark.parametrize("method", METHODS)
def test_killed_and_started_again_it_ends_with_the_same_weights(
    method: str, ctx: Context, tmp_path: Path
) -> None:
    settings = replace(SMALL, method=method, epochs=4)
    undisturbed = trained(settings, ctx, tmp_path / "other")

    process = multiprocessing.get_context("spawn").Process(
        target=_train_until_killed, args=(settings, tmp_path)
    )
    process.start()
    deadline = time.monotonic() + 120
    while not (tmp_path / "resume").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    resumed = trained(settings, ctx, tmp_path / "resume")

    expected = undisturbed.method.state_dict()
    for name, tensor in resumed.method.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert resumed.progress.curves == undisturbed.progress.curves


def test_a_resume_file_of_another_training_is_refused(ctx: Context, tmp_path: Path) -> None:
    trained(replace(SMALL, epochs=1), ctx, tmp_path / "resume")
    with pytest.raises(PretrainingError, match="belongs to a training with other settings"):
        trained(replace(SMALL, lr=0.5), ctx, tmp_path / "resume")


def test_loader_processes_change_nothing(ctx: Context, tmp_path: Path) -> None:
    settings = replace(SMALL, method="hsa", epochs=1, knn_every=0)
    one = trained(settings, ctx, tmp_path / "a")
    two = trained(settings, replace(ctx, workers=2), tmp_path / "b")
    assert weights_hash(one.method) == weights_hash(two.method)


def test_nan_stops_with_the_step_and_the_settings(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"epoch \d+, step \d+.*lr.*1e\+30"):
        trained(replace(SMALL, lr=1e30), ctx, tmp_path / "resume")


def test_hsa_with_all_parts_off_is_moco(ctx: Context, tmp_path: Path) -> None:
    moco = trained(replace(SMALL, method="moco"), ctx, tmp_path / "a")
    off = replace(SMALL, method="hsa", neighbours=False, mix=False, levels=())
    hsa = trained(off, ctx, tmp_path / "b")
    assert hsa.progress.curves["loss"] == moco.progress.curves["loss"]
    assert weights_hash(hsa.method.encoder) == weights_hash(moco.method.encoder)


def test_neighbours_have_no_weight_during_warm_up(ctx: Context) -> None:
    settings = replace(SMALL, method="hsa", epochs=200, warmup=0.055)
    method = training(settings, ctx).method
    states = []
    for epoch in (0, 10, 11, 199):
        method.begin(epoch)
        states.append(method.warming)
    assert states == [True, True, False, False]


def test_each_level_has_a_queue_fed_with_its_own_keys(ctx: Context) -> None:
    method = training(replace(SMALL, method="hsa", levels=(2, 3)), ctx).method
    views = [torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(s)) for s in range(4)]
    method.begin(0)
    parts = method(views)
    assert set(parts) == {"loss", "loss/stage2", "loss/stage3", "loss/stage4"}
    fed: list[Tensor] = [queue.keys[:, :16] for queue in method.queues]
    assert not torch.allclose(fed[0], fed[1])
    assert not torch.allclose(fed[1], fed[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 128}, "batch 128 is larger than the training set"),
        ({"queue": 16}, r"queue 16 must be larger than the batch \(16\)"),
        ({"queue": 64}, "queue 64 must be smaller than the training set"),
        ({"method": "hsa", "k": 64}, "k 64 neighbours cannot be found"),
    ],
)
def test_settings_that_cannot_train_are_refused_before_training(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PretrainingError, match=message):
        check(replace(SMALL, **changes), images=64)


def test_the_rate_rises_and_follows_the_cosine() -> None:
    settings = Settings(epochs=100, lr=0.4, lr_warmup=10)
    assert rate(settings, 0) == pytest.approx(0.04)
    assert rate(settings, 9) == pytest.approx(0.4)
    assert rate(settings, 50) == pytest.approx(0.2)
    assert rate(settings, 99) < 0.001
