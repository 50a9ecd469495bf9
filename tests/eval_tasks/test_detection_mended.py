"""Broken pictures of detection data: a test one is named before training, and mending loses no training."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eval_tasks import coco
from eval_tasks._detection import transfer
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.data import manifest
from hsa_bench.core.data.detection.detection_data import open_coco
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, make_plan
from tests.support.coco_layout import write_coco
from tests.support.small_detector import PARTS

REQUEST = BackboneRequest(label="random", arch="resnet18-w8")

TINY = {**PARTS, "masks": False, "iterations": 2, "train_sizes": (48,), "test_size": 48, "max_size": 96}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures of noise: one that is cut off is found by decoding alone."""
    monkeypatch.setattr(manifest, "_kept_in", None)

    def larger(split: str, said: dict[str, Any]) -> None:
        for photo, one in zip(said["images"], said["annotations"], strict=True):
            photo.update(width=64, height=48)
            one["bbox"] = [4, 4, 40, 30]

    root = write_coco(tmp_path / "coco", larger)
    for split in ("train", "val"):
        for path in (root / split).iterdir():
            Image.effect_noise((64, 48), 50).save(path)
    time.sleep(0.06)  # until the times of the files are settled
    return root


def done(root: Path, bench: Bench) -> tuple[TaskResult, list[str]]:
    """Plan and run as a new process would; the second is what the progress bars say."""
    said: list[str] = []
    heard = replace(bench, ctx=replace(bench.ctx, progress=lambda text, _, __: said.append(text)))
    open_coco.cache_clear()
    task = replace(coco.TASKS[2], root=str(root), **TINY)
    backbone = LoadedBackbone(REQUEST, open_backbone(REQUEST))
    plan = make_plan([ChosenTask("eval_tasks.coco", task)], [backbone], "digits", [0], None, heard.ctx)
    assert not plan.blocked, plan.blocked
    return execute(plan.runs[0], heard), said


def trained(said: list[str]) -> int:
    """Iterations that were done."""
    return sum("it/s" in text for text in said)


def test_a_broken_test_picture_is_named_before_training_and_mending_it_loses_none(
    root: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = root / "val" / "val1.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    time.sleep(0.06)

    failed, said = done(root, bench)
    assert failed.failure is not None and str(picture) in failed.failure.message
    assert trained(said) == 0

    picture.write_bytes(whole)
    time.sleep(0.06)
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "detect", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory")))
        failed, said = done(root, bench)
    assert failed.failure is not None and "no memory" in failed.failure.message
    assert trained(said) == 2

    Image.effect_noise((64, 48), 60).save(picture)
    time.sleep(0.06)
    result, said = done(root, bench)

    assert result.status == "ok", result.failure
    assert result.spec.key != failed.spec.key
    assert trained(said) == 0
    assert not list(bench.store.out.rglob("*.part"))
