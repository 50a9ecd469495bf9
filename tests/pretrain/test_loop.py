from __future__ import annotations

import os
import random
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.drawn_view import Numbers
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.features.image_hashes import image_hashes
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.seed import forked
from pretrain.data.augment import AUGMENTATIONS, Digits
from pretrain.export import budget, export, finish
from pretrain.loop import Training
from pretrain.monitor.flops import forward_flops
from pretrain.progress import Progress
from pretrain.settings import Settings
from tests.support.processes import process

SMALL = Settings(
    epochs=3, batch=16, queue=32, augment="digits", head_bn="hidden", k=3, refresh=2, warmup=0.3, knn_every=2
)
METHODS = ["moco", "simclr", "hsa"]


def images() -> ImageSet:
    return open_dataset("digits", Path()).limited(64).train


def training(settings: Settings, ctx: Context, **given: Any) -> Training:
    request = BackboneRequest(label="x", arch="resnet18-w16")
    return Training(
        settings, open_backbone(request), images(), View(32, 32), given.pop("seed", 0), ctx, **given
    )


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
    assert spent.device.startswith("cpu ")

    export(done, tmp_path / "file.pth", spent)
    backbone = open_backbone(BackboneRequest(label="x", path=str(tmp_path / "file.pth")))
    assert backbone.weights == weights_hash(done.method.encoder.trunk)
    assert backbone.source.budget == spent


def _train_until_killed(settings: Settings, folder: Path) -> None:
    os.chdir(folder)
    trained(settings, Context(data_root=folder, cache=folder), folder / "resume")


@pytest.mark.parametrize(
    "method", ["hsa", *(pytest.param(name, marks=pytest.mark.long) for name in METHODS if name != "hsa")]
)
def test_killed_and_started_again_it_ends_with_the_same_weights(
    method: str, ctx: Context, tmp_path: Path
) -> None:
    settings = replace(SMALL, method=method, epochs=4)
    undisturbed = trained(settings, ctx, tmp_path / "other")

    child = process(_train_until_killed, settings, tmp_path)
    child.start()
    deadline = time.monotonic() + 600
    while not (tmp_path / "resume").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    said: list[str] = []
    resumed = trained(settings, replace(ctx, say=said.append), tmp_path / "resume")
    assert said[0].startswith("goes on after epoch ")

    expected = undisturbed.method.state_dict()
    for name, tensor in resumed.method.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert resumed.progress.curves == undisturbed.progress.curves
    assert undisturbed.earlier_seconds == 0 < resumed.earlier_seconds < resumed.progress.seconds


def test_a_resume_file_of_another_training_is_refused(ctx: Context, tmp_path: Path) -> None:
    trained(replace(SMALL, epochs=1), ctx, tmp_path / "resume")
    with pytest.raises(
        PretrainingError, match=r"belongs to a training with other epochs \(1, now 3\), lr \(0.03, now 0.5\)"
    ):
        trained(replace(SMALL, lr=0.5), ctx, tmp_path / "resume")


def test_loader_processes_change_nothing(ctx: Context, tmp_path: Path) -> None:
    settings = replace(SMALL, method="hsa", epochs=1, knn_every=0)
    one = trained(settings, ctx, tmp_path / "a")
    two = trained(settings, replace(ctx, workers=2), tmp_path / "b")
    assert weights_hash(one.method) == weights_hash(two.method)


class Uncounted(Digits):
    """Views that refuse to be drawn where torch's operations are counted."""

    def draw(self, size: tuple[int, int]) -> Numbers:
        if _get_current_dispatch_mode_stack():
            raise RuntimeError("a loader process counts operations")
        return super().draw(size)


def test_loader_processes_count_no_operations(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AUGMENTATIONS, "digits", Uncounted)
    done = trained(replace(SMALL, epochs=1, knn_every=0), replace(ctx, workers=1), tmp_path / "resume")
    assert done.progress.flops


def test_nan_stops_with_the_step_and_the_settings(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"epoch \d+, step \d+.*lr.*1000000\.0"):
        trained(replace(SMALL, lr=1e6), ctx, tmp_path / "resume")


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
    assert {"loss", "loss/stage2", "loss/stage3", "loss/stage4/own", "loss/stage4/mixed"} <= set(parts)
    fed: list[Tensor] = [queue.keys[:, :16] for queue in method.queues]
    assert not torch.allclose(fed[0], fed[1])
    assert not torch.allclose(fed[1], fed[2])


def _train_on_a_small_disk(folder: Path) -> None:
    settings = replace(SMALL, method="moco", epochs=3, knn_every=0)
    work = training(settings, Context(data_root=folder, cache=folder))
    saved = work.resumable.save

    def then_fill_the_disk(path: Path, progress: Progress) -> None:
        saved(path, progress)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, resource.RLIM_INFINITY))

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    object.__setattr__(work.resumable, "save", then_fill_the_disk)
    try:
        work.run(folder / "resume")
    except PretrainingError as error:
        (folder / "error").write_text(str(error))


def test_the_last_good_checkpoint_survives_a_full_disk(ctx: Context, tmp_path: Path) -> None:
    child = process(_train_on_a_small_disk, tmp_path)
    child.start()
    child.join()
    message = (tmp_path / "error").read_text()
    assert "the checkpoint of epoch 2 could not be written" in message
    assert "the one of the epoch before stands" in message
    assert [p.name for p in tmp_path.iterdir() if "resume" in p.name] == ["resume"]

    settings = replace(SMALL, method="moco", epochs=3, knn_every=0)
    resumed = trained(settings, ctx, tmp_path / "resume")
    undisturbed = trained(settings, ctx, tmp_path / "other")
    assert weights_hash(resumed.method) == weights_hash(undisturbed.method)


@pytest.mark.parametrize("damage", ["overwritten", "cut", "empty"])
def test_a_damaged_resume_file_is_set_aside_and_the_training_begins_anew(
    damage: str, ctx: Context, tmp_path: Path
) -> None:
    settings = replace(SMALL, method="moco", epochs=1, knn_every=0)
    undisturbed = trained(settings, ctx, tmp_path / "resume")
    whole = (tmp_path / "resume").read_bytes()
    damaged = {"overwritten": b"half a fi", "cut": whole[: len(whole) // 2], "empty": b""}[damage]
    (tmp_path / "resume").write_bytes(damaged)
    said: list[str] = []
    again = trained(settings, replace(ctx, say=said.append), tmp_path / "resume")
    assert said[0].startswith(f"{tmp_path / 'resume'}: is damaged (")
    assert said[0].endswith("it is set aside as resume.broken, and the training begins anew")
    assert (tmp_path / "resume.broken").read_bytes() == damaged
    assert weights_hash(again.method) == weights_hash(undisturbed.method)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.long) for s in range(1, 6))])
def test_killed_at_any_moments_it_ends_with_the_same_weights(seed: int, ctx: Context, tmp_path: Path) -> None:
    settings = replace(SMALL, method="hsa", epochs=4)
    undisturbed = trained(settings, ctx, tmp_path / "other")
    draw, finished = random.Random(seed), False
    for _ in range(3):
        child = process(_train_until_killed, settings, tmp_path)
        child.start()
        child.join(timeout=draw.uniform(4, 9))
        if finished := not child.is_alive():
            break
        child.kill()
        child.join()
    resumed = trained(settings, ctx, tmp_path / "resume")
    assert weights_hash(resumed.method) == weights_hash(undisturbed.method), finished
    assert resumed.progress.curves == undisturbed.progress.curves


def test_accumulated_gradients_are_those_of_the_parts(ctx: Context) -> None:
    whole = training(replace(SMALL, method="simclr", accumulate=2, precision="64-true", momentum=0), ctx)
    before = [p.detach().clone() for p in whole.method.parameters()]
    pictures = [torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(s)) for s in range(4)]
    whole._step(0, 0, iter([pictures[:2], pictures[2:]]))
    by_hand = training(replace(SMALL, method="simclr", precision="64-true"), ctx).method
    for pair in (pictures[:2], pictures[2:]):
        (by_hand([view.double() for view in pair])["loss"] / 2).backward()
    decay, rate = SMALL.weight_decay, SMALL.lr
    for was, now, like in zip(before, whole.method.parameters(), by_hand.parameters(), strict=True):
        assert like.grad is not None
        torch.testing.assert_close(
            now.detach(), was - rate * (like.grad + decay * was), rtol=1e-9, atol=1e-11
        )


def test_both_directions_of_accumulated_parts_meet_the_keys_of_the_parts_before(ctx: Context) -> None:
    settings = replace(SMALL, method="moco", symmetric=True, queue=48, accumulate=2, precision="64-true")
    whole = training(replace(settings, momentum=0, bn_groups=2), ctx)
    before = [p.detach().clone() for p in whole.method.encoder.parameters()]
    draw = torch.Generator().manual_seed(0)
    parts = [[torch.randn(8, 3, 32, 32, generator=draw).double() for _ in range(2)] for _ in range(2)]
    shown = whole._step(0, 0, iter(parts))
    by_hand = training(replace(settings, accumulate=1, bn_groups=2), ctx).method
    first, losses = by_hand.queue.keys.clone(), []
    for number, views in enumerate(parts):
        with forked(0, "step", 0, number):
            losses.append(by_hand(views)["loss"])
        (losses[-1] / 2).backward()
    assert float(shown["loss"]) == pytest.approx(float(torch.stack(losses).detach().mean()), rel=1e-6)
    decay, rate = SMALL.weight_decay, SMALL.lr
    for was, now, like in zip(
        before, whole.method.encoder.parameters(), by_hand.encoder.parameters(), strict=True
    ):
        assert like.grad is not None
        torch.testing.assert_close(
            now.detach(), was - rate * (like.grad + decay * was), rtol=1e-9, atol=1e-11
        )
    found = whole.method.queue
    torch.testing.assert_close(found.keys, by_hand.queue.keys, rtol=1e-9, atol=1e-11)
    assert int(found.pointer) == 4 * 8  # two keys of each of 16 pictures
    assert torch.equal(found.keys[:, 32:], first[:, 32:])
    assert not torch.isclose(found.keys[:, :32], first[:, :32]).all(0).any()


def test_bf16_trains_too(ctx: Context, tmp_path: Path) -> None:
    settings = replace(SMALL, method="hsa", epochs=1, precision="bf16-mixed", crops=(24,))
    done = trained(settings, ctx, tmp_path / "resume")
    assert all(p.dtype == torch.float32 for p in done.method.parameters())
    assert "loss/stage3/crop1" in done.progress.curves
    assert done.method.views == 6


def test_the_exported_file_holds_what_a_reader_needs_and_its_twin_loads_alike(
    ctx: Context, tmp_path: Path
) -> None:
    work = training(replace(SMALL, epochs=1), ctx)
    spent = finish(work, "digits", tmp_path / "out.pth", tmp_path / "resume")
    assert spent is not None
    assert not (tmp_path / "resume").exists()
    held = torch.load(tmp_path / "out.pth", weights_only=True)
    assert held["settings"]["queue"] == 32
    assert held["data"] == images().fingerprint()
    assert np.array_equal(held["image_hashes"].numpy(), image_hashes(images(), ctx))
    assert held["curves"] == work.progress.curves
    twins = [
        open_backbone(BackboneRequest(label="x", path=str(tmp_path / f"out.{suffix}")))
        for suffix in ("pth", "safetensors")
    ]
    assert twins[0].weights == twins[1].weights == weights_hash(work.method.encoder.trunk)
    assert twins[0].source.budget == twins[1].source.budget == spent
    assert twins[0].arch == twins[1].arch
    assert twins[0].card == twins[1].card


def test_flops_are_those_of_all_views_forward_and_backward(ctx: Context, tmp_path: Path) -> None:
    moco = trained(replace(SMALL, epochs=1, head_bn="none"), ctx, tmp_path / "a").progress
    forward = forward_flops(training(SMALL, ctx).method.encoder.trunk, 32)
    # One view forward and backward (the first convolution needs no gradient of its input), one forward only.
    assert moco.flops == pytest.approx(4 * 64 * forward, rel=0.15)
    assert moco.flops == 4 * moco.step_flops


def test_flops_of_hsas_warm_up_do_not_stand_for_the_epochs_after_it(ctx: Context, tmp_path: Path) -> None:
    hsa = replace(SMALL, method="hsa", epochs=1, knn_every=0)
    warm = trained(hsa, ctx, tmp_path / "a").progress
    both = trained(replace(hsa, epochs=2), ctx, tmp_path / "b").progress  # mined once too
    assert both.step_flops > warm.step_flops
    assert both.flops - warm.flops == pytest.approx(4 * both.step_flops)
