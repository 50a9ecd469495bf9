"""Piece 3 of `make device`: the first epochs of MoCo's demo, stopped and gone on with, beside the log."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hsa_bench.core.context import Context
from hsa_bench.core.models.backbone import weights_hash
from pretrain.loop import Training
from pretrain.preset import read_preset
from pretrain.progress import Progress
from pretrain.settings import Settings
from tests.support.training import digits_training
from tools.device.cifar10 import dataset, noted, training_pictures
from tools.device.demo_log import KNN, LOSS
from tools.device.piece import Call
from tools.device.piece_folder import PieceFolder
from tools.device.pieces import strength

MADE = {"device": "cpu", "size": "tiny"}


def call(tmp_path: Path, seconds: float = 900, **changes: bool) -> Call:
    return replace(Call("cpu", True, tmp_path, time.monotonic() + seconds, tmp_path / "data"), **changes)


def on_file(tmp_path: Path) -> PieceFolder:
    return PieceFolder(tmp_path / "piece-3", "Piece 3: x", MADE)


def training(tmp_path: Path) -> Training:
    settings = Settings(epochs=2, batch=8, queue=16, bn_groups=2, augment="digits", knn_every=2)
    return digits_training(settings, Context(Path(), tmp_path), "resnet18-w8-s2", 17)


def test_a_training_that_is_left_after_an_epoch_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = training(tmp_path)
    whole.run(tmp_path / "whole")
    for _ in range(2):  # the second time there is nothing to do
        part = training(tmp_path)
        part.run(tmp_path / "parts", lambda progress: progress.epoch >= 1)
        assert part.progress.epoch == 1 and not part.progress.ended
    last = training(tmp_path)
    last.run(tmp_path / "parts")
    assert weights_hash(last.method.encoder.trunk) == weights_hash(whole.method.encoder.trunk)
    assert last.progress.curves == whole.progress.curves


def test_what_the_log_says_is_what_the_preset_says() -> None:
    settings = Settings(**read_preset(strength.PRESET).settings)
    assert settings.epochs == 200  # rates are those of the whole schedule
    assert (settings.knn_of, settings.knn_k, settings.knn_temperature) == ("embedding", 200, 0.1)
    header = (Path(strength.__file__).parents[3] / "pretrain/presets/moco-demo-cifar10.yaml").read_text()
    assert f"{KNN[10]:.1f} after 10, {KNN[20]:.1f} after 20, {KNN[40]:.1f} after 40" in header
    assert {*KNN} < {*LOSS}


def test_a_milestone_is_written_as_it_is_passed_and_a_later_call_goes_on(tmp_path: Path) -> None:
    there = on_file(tmp_path)
    course = strength._Course(replace(call(tmp_path), tiny=False), there, (10, 20, 40))
    curves = {"knn": [47.0], "loss": [7.0] * 11}
    assert not course.stop(Progress(epoch=11, seconds=110, curves=curves))
    rows = {row.what: row for row in there.parts["after 10 epochs of 200"].rows}
    assert rows["kNN on the head's output"].value == 47.0 and rows["kNN on the head's output"].holds
    assert rows["ours less the log's"].value == pytest.approx(47.0 - 48.03)
    assert [name for name in rows if "loss" in name] == [f"loss of epoch {n}" for n in (1, 2, 3, 10)]
    short = strength._Course(replace(call(tmp_path, 15), tiny=False), there, (10, 20, 40))
    assert short.stop(Progress(epoch=12, seconds=120, curves=curves))  # two more epochs take 20 s
    later = strength._Course(replace(call(tmp_path), tiny=False), on_file(tmp_path), (10, 20, 40))
    curves = {"knn": [47.0, 50.0, 66.0, 70.0], "loss": [7.0] * 40}
    assert later.stop(Progress(epoch=40, seconds=400, curves=curves))
    assert not later.left
    assert later.on_file.missed() == [
        "after 20 epochs of 200: kNN on the head's output is 50 %, aimed at is at least 56.38"
    ]
    assert sum(part.seconds for part in later.on_file.parts.values()) == 400


def test_without_pictures_the_piece_is_skipped_by_name_and_with_them_it_is_not(tmp_path: Path) -> None:
    full = replace(call(tmp_path), tiny=False)
    assert strength.PIECE.run(full, on_file(tmp_path)) == []
    table = (tmp_path / "piece-3/table.md").read_text()
    assert "| pictures | CIFAR-10 | skipped |" in table and "no CIFAR-10 in DATA" in table
    assert str(tmp_path) not in table
    (tmp_path / "data/cifar-10-batches-py").mkdir(parents=True)
    assert dataset(full) == "cifar10"
    (tmp_path / "data/cifar10/train").mkdir(parents=True)
    assert dataset(full) == f"imagefolder:{tmp_path}/data/cifar10"
    there = on_file(tmp_path)
    assert noted(full, there) and "skipped" not in (tmp_path / "piece-3/table.md").read_text()


def test_pictures_of_files_are_read_into_memory_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    for split, label, grey in (("train", "a", 10), ("train", "b", 20), ("test", "a", 30), ("test", "b", 40)):
        folder = tmp_path / "data/cifar10" / split / label
        folder.mkdir(parents=True)
        Image.new("RGB", (32, 32), (grey, 0, 255)).save(folder / "0.png")
    images = training_pictures(replace(call(tmp_path), tiny=False))
    assert [images.picture(i).getpixel((3, 3)) for i in range(2)] == [(10, 0, 255), (20, 0, 255)]
    assert images.labels.tolist() == [0, 1] and images.images.side == 32
    assert torch.tensor(images.labels).dtype == torch.int64
