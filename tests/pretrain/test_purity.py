"""Purity of neighbours while a training runs: watched beside pixels', warned of, and asked for as its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import pretrain.monitor.monitor as watching
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View, centre_view
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.mined import Mined
from pretrain.export import budget, export, holds_training
from pretrain.loop import Training
from pretrain.methods.hsa import Method
from pretrain.monitor import watch
from pretrain.monitor.described import described, ends
from pretrain.monitor.mined import mined
from pretrain.monitor.monitor import Monitor
from pretrain.monitor.scalars import Scalars
from pretrain.progress import Progress, Resumable
from pretrain.settings import Settings
from pretrain.task import Pretrain

SMALL = Settings(
    method="hsa", epochs=4, batch=16, queue=24, bn_groups=4, augment="digits", k=3, refresh=1, warmup=0.5,
    knn_every=2, levels=(),
)  # fmt: skip


def images() -> ImageSet:
    return open_dataset("digits", Path()).limited(40).train


def training(
    ctx: Context, settings: Settings = SMALL, data: ImageSet | None = None, **given: Any
) -> Training:
    backbone = open_backbone(BackboneRequest(label="x", arch="resnet18-w8"))
    return Training(settings, backbone, data or images(), View(32, 32), 0, ctx, counting=False, **given)


class Watched(Monitor):
    """A monitor of a training that is not done: its epochs pass as they are called."""

    def __init__(self, ctx: Context, settings: Settings, **given: Any) -> None:
        self.said: list[str] = []
        mines = given.pop("mines", settings.method == "hsa")
        trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w8")).module
        data, view = given.pop("data", images()), centre_view(View(32, 32), Preprocess())
        scalars, progress = Scalars(None, {}), given.pop("progress", Progress())
        super().__init__(settings, progress, trunk, mines, data, view, ctx, scalars, self.said.append)
        self.settings_fitted = settings.fitted(2)

    def passes(self, epochs: int) -> Progress:
        """Train for some epochs, in which nothing is learnt and neighbours are the next two pictures."""
        progress, own = self.progress, np.arange(len(self.images))
        with self:
            for epoch in range(progress.epoch, progress.epoch + epochs):
                if self.mines:
                    progress.neighbours = np.stack([own + 1, own + 2], axis=1) % len(own)
                self.weigh(self.mines and epoch >= self.settings_fitted.warmup_epochs)
                progress.epoch, progress.seconds = epoch + 1, 1.0
                self.note({"loss": 1.0})
                if progress.ended:
                    break
        return progress


@pytest.fixture
def pixels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pictures of each time that pixels are mined; their purity is then 20 %."""
    mined: list[int] = []

    def purity(found: ImageSet, *_: object) -> float:
        mined.append(len(found))
        return 20.0

    monkeypatch.setattr(watching, "pixels_purity", purity)
    return mined


def of_looks(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let looks find these purities, one after the other."""
    left: Iterator[float] = iter(values)
    figures = {"spread": 0.5, "rank": 20.0, "knn": 10.0}
    monkeypatch.setattr(watching, "look", lambda *_: {**figures, "purity_looked": next(left)})


def stop_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Resumable.save

    def saved(self: Resumable, path: Path, progress: Any) -> None:
        save(self, path, progress)
        if progress.epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(Resumable, "save", saved)


def test_labels_are_for_watching_alone_and_without_them_pixels_are_not_mined(
    ctx: Context, tmp_path: Path, pixels: list[int]
) -> None:
    settings, said = replace(SMALL, epochs=2, mutual=True), []
    nameless = replace(images(), labels=np.zeros(40, np.int64), classes=("all",))
    with_labels, without = training(ctx, settings), training(ctx, settings, nameless, say=said.append)
    with_labels.run(tmp_path / "with")
    assert pixels == [40]
    without.run(tmp_path / "without")
    assert pixels == [40]
    assert weights_hash(with_labels.method) == weights_hash(without.method)
    told = set(with_labels.progress.curves) - set(without.progress.curves)
    assert told == {"purity", "purity_pixels", "purity_looked", "knn"}
    assert len(without.progress.curves["mutual"]) == 2
    assert not any("no better than" in text for text in said)
    assert budget(without, "digits").mined is None
    spent = budget(with_labels, "digits").mined
    assert spent and (spent.counted_from, spent.pixels) == (2, 20.0)
    assert spent.last == with_labels.progress.curves["purity"][-1]


def test_each_minings_purity_stands_beside_pixels_in_every_epoch(ctx: Context) -> None:
    watched = Watched(ctx, SMALL)
    progress = watched.passes(4)
    noted = progress.curves
    assert len(noted["purity"]) == len(noted["purity_pixels"]) == 4
    assert set(noted["purity_pixels"]) == {progress.pixels}
    assert len(noted["purity_looked"]) == 2
    assert f"purity_pixels {progress.pixels:.4g}" in watched.said[-1]
    curves = {curve.name: curve for curve in described(noted, 4, 2)}
    for name in ("purity", "purity_looked"):
        level = curves[name].beside
        assert level is not None and level.value == progress.pixels
    assert curves["purity_looked"].at == (2, 4) and "looks" in curves["purity_looked"].title
    assert {"purity", "purity_looked", "purity_pixels"} <= {
        metric.name for metric in ends([*curves.values()])
    }


def test_purity_of_looks_has_no_pixels_beside_it_where_these_are_mutual_ones(ctx: Context) -> None:
    noted = Watched(ctx, replace(SMALL, mutual=True)).passes(2).curves
    curves = {curve.name: curve for curve in described(noted, 2, 2)}
    assert curves["purity"].beside and not curves["purity_looked"].beside


def test_of_a_set_larger_than_a_look_pixels_are_mined_among_what_neighbours_are_taken_from(
    ctx: Context, pixels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOKED_AT", 30)
    monkeypatch.setattr(watch, "LOOKED_AT", 30)
    for method in ("moco", "hsa"):
        curves = Watched(ctx, replace(SMALL, method=method)).passes(2).curves
        assert ("purity_looked" in curves) == (method == "moco")
    assert pixels == [30, 40]


def test_a_stopped_training_goes_on_without_mining_pixels_again(
    ctx: Context, tmp_path: Path, pixels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SMALL, epochs=3, warmup=0.3)
    whole, stopped, again = (training(ctx, settings) for _ in range(3))
    whole.run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            stopped.run(tmp_path / "resume")
    pixels.clear()
    again.run(tmp_path / "resume")
    assert pixels == []
    assert again.progress.curves == whole.progress.curves
    assert again.progress.warnings == whole.progress.warnings
    assert budget(again, "x").mined == budget(whole, "x").mined


def test_a_training_of_an_older_file_gets_pixels_purity_for_all_its_epochs(
    ctx: Context, pixels: list[int]
) -> None:
    older = Progress(epoch=2, curves={"loss": [1.0, 1.0], "purity": [5.0, 5.0]})
    progress = Watched(ctx, SMALL, progress=older).passes(2)
    assert progress.curves["purity_pixels"] == [20.0] * 4 and pixels == [40]


def test_neighbours_that_get_weight_while_they_are_no_better_are_warned_of_once(
    ctx: Context, pixels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([99.0, 15.0, 19.5, 19.5, 18.0, 18.0])  # noted twice, weighed, noted; then noted alone
    monkeypatch.setattr(watching, "purity", lambda *_: next(found))
    watched = Watched(ctx, SMALL)
    progress = watched.passes(4)
    doubts = [text for text in watched.said if "no better than" in text]
    assert len(doubts) == 1
    assert watched.said.index(doubts[0]) == 2  # after the lines of two epochs
    for part in ("warning: neighbours have weight in epoch 3", "19.5 %", "20.0 %", "warmup_steps"):
        assert part in doubts[0]
    assert progress.warnings == [doubts[0].removeprefix("warning: ")]
    method = Method(watched.trunk, SMALL)
    assert mined(progress, method) == Mined(counted_from=3, counted=19.5, last=18.0, pixels=20.0)


def test_neighbours_above_pixels_are_not_warned_of(
    ctx: Context, pixels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "purity", lambda *_: 20.1)
    assert Watched(ctx, SMALL).passes(4).warnings == []


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, 2),
        ({"weights": (1.0, 0.0)}, None),
        ({"weights": (0.0, 1.0)}, 2),
        ({"warmup": 0.99}, None),
        ({"neighbours": False}, None),
        ({"warmup": 0.1, "warmup_steps": 5}, 3),
    ],
)
def test_the_epoch_in_which_neighbours_get_weight_is_that_of_the_loss(
    changes: dict[str, Any], first: int | None
) -> None:
    settings = replace(SMALL, **changes)
    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w8")).module
    method = Method(trunk, settings.fitted(2))
    weighed = [epoch for epoch in range(4) if method.weighs_neighbours(epoch)]
    assert weighed == ([] if first is None else [*range(first, 4)])


def test_a_training_ends_after_the_first_look_with_the_purity_asked_for(
    ctx: Context, tmp_path: Path, pixels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, said = replace(SMALL, method="moco", epochs=9, until_purity=8.0, knn_every=1), []
    of_looks(monkeypatch, [27.9, 28.0, 99.0])
    done = training(ctx, settings, say=said.append)
    done.run(tmp_path / "resume")
    assert done.progress.epoch == 2 and len(done.progress.curves["loss"]) == 2
    assert any(text.startswith("ends after epoch 2 of at most 9") for text in said)
    assert "0:00:00 left" in said[-1]
    spent = budget(done, "digits")
    assert (spent.epochs, spent.images, spent.views) == (2, 2 * 32, 2.0)
    curves = {curve.name: curve for curve in described(done.progress.curves, spent.epochs, 1)}
    assert curves["knn"].along == curves["loss"].along == "epoch"

    again = training(ctx, settings)
    again.run(tmp_path / "resume")  # as after a full disk at the export
    assert again.progress.epoch == 2 and weights_hash(again.method) == weights_hash(done.method)
    export(again, tmp_path / "out.pth", budget(again, "digits"))
    assert holds_training(training(ctx, settings), tmp_path / "out.pth")
    assert pixels == [40]


def test_only_a_look_ends_a_training_and_mined_neighbours_go_before_looks(
    ctx: Context, pixels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "purity", lambda *_: 28.0)
    of_looks(monkeypatch, [0.0] * 9)
    progress = Watched(ctx, replace(SMALL, epochs=9, until_purity=8.0)).passes(9)
    assert progress.ended and progress.epoch == 2
    assert progress.curves["purity"] == [28.0, 28.0]
    assert described(progress.curves, 2, 2)[-1].at == (2,)


def test_a_purity_that_is_never_reached_is_remarked(
    ctx: Context, pixels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_looks(monkeypatch, [20.0, 27.0])
    progress = Watched(ctx, replace(SMALL, method="moco", until_purity=8.0)).passes(4)
    (text,) = progress.warnings
    assert "until_purity 8" in text and "purity 27.0 %" in text and "20.0 %" in text
    assert progress.epoch == 4 and not progress.ended


def test_a_length_that_labels_decide_needs_labels_and_looks(ctx: Context) -> None:
    with pytest.raises(ValidationError, match=r"until_purity 8 .*set knn_every"):
        Settings(until_purity=8, knn_every=0)
    settings = replace(SMALL, until_purity=8.0)
    for labels, classes in ((0, ("all",)), (3, images().classes)):
        nameless = replace(images(), labels=np.full(40, labels, np.int64), classes=classes)
        with pytest.raises(PretrainingError, match="until_purity 8: the training images have no labels"):
            training(ctx, settings, nameless)
    assert "their labels used for its length alone" in Pretrain(until_purity=8.0).protocol
    assert "without their labels: 200 epochs" in Pretrain().protocol
