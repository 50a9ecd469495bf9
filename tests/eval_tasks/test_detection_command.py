"""Detection through the whole command: killed and repeated, and shared by two processes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import torch

from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.run import app
from tests.support.command import call, in_background, start

SETTINGS = {
    "engine": "torchvision",
    "root": "digit-scenes",
    "iterations": 30,
    "batch": 2,
    "lr": 0.005,
    "clip": 1.0,
    "train_sizes": "[64]",
    "test_size": 64,
    "precise_batches": 2,
    "pyramid_dim": 8,
    "rpn_candidates": "[20,20]",
    "proposals": "[10,10]",
    "roi_batch": 8,
    "box_dim": 8,
    "mask_dim": 8,
    "mask_layers": 1,
}


def arguments(out: Path, **changes: object) -> list[str]:
    fields = {**SETTINGS, **changes}
    preset = out.with_suffix(".yaml")
    preset.write_text("random_controls: 1\npixels_control: false\n")
    return [
        *("--arch", "resnet18-w8", "--tasks", "coco-fpn-1x", "--limit", "12"),
        *("--out", str(out), "--preset", str(preset)),
        *(part for name, value in fields.items() for part in ("--set", f"coco-fpn-1x.{name}={value}")),
    ]


def results(out: Path) -> list[TaskResult]:
    store = Store(out)
    found = [store.get(p.parent.parent.name, p.parent.name, p.stem) for p in store.paths()]
    return [r for r in found if r is not None and r.label == "random"]


def whole(out: Path, processes: int = 1) -> TaskResult:
    if processes == 1:
        done = call(app, *arguments(out))
    else:
        done = start("hsa_bench.run", *arguments(out), processes=processes)
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = results(out)
    assert result.status == "ok", result.failure
    return result


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TaskResult:
    return whole(tmp_path_factory.mktemp("runs") / "undisturbed")


@pytest.mark.long  # quick ones: stopped, in test_detection_training.py; killed, of a pretraining
def test_a_killed_training_is_taken_up_and_ends_with_the_undisturbed_numbers(
    tmp_path: Path, undisturbed: TaskResult
) -> None:
    out = tmp_path / "killed"
    running = in_background("hsa_bench.run", *arguments(out))
    deadline = time.monotonic() + 600
    while not list(out.glob("results/random/coco-fpn-1x/*.part")):
        assert running.poll() is None and time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not results(out)
    (checkpoint,) = out.glob("results/random/coco-fpn-1x/*.part")
    state = torch.load(checkpoint, weights_only=True)
    assert 0 < state["seconds"] < 120
    torch.save({**state, "seconds": state["seconds"] + 1000}, checkpoint)

    resumed = whole(out)

    assert not list(out.rglob("*.part"))
    assert resumed.spec == undisturbed.spec
    assert resumed.curves == undisturbed.curves
    assert resumed.metrics == undisturbed.metrics
    assert 1000 < resumed.seconds < 1240  # of both processes


@pytest.mark.long
def test_two_processes_share_a_batch(tmp_path: Path, undisturbed: TaskResult) -> None:
    alone, together = undisturbed, whole(tmp_path / "together", processes=2)

    assert together.spec == alone.spec
    assert together.courses.keys() == alone.courses.keys()
    assert together.effective["val_images"] == 12
    # the first iteration has the same weights and images; which regions are learnt is drawn by each process
    assert together.courses["loss"].values[0] == pytest.approx(alone.courses["loss"].values[0], rel=0.05)
    assert together.courses["loss"].values[-1] < together.courses["loss"].values[0]
