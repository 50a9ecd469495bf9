"""Settings that depend on the length of a training: put in numbers for it, kept as they were given."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.models.backbone import weights_hash
from pretrain.export import notes
from pretrain.loop import Training
from pretrain.methods.hsa import Method
from pretrain.preflight import check, warnings
from pretrain.settings import Settings
from pretrain.task import Pretrain


def test_the_key_encoders_momentum_follows_the_length() -> None:
    # MoCo's demo: .99 in 97 steps an epoch for 200 epochs is a memory of .52 % of the training.
    demo = Settings(ema_share=1 / 194).fitted(97)
    assert demo.ema == pytest.approx(0.99)
    assert Settings(ema_share=0.005, epochs=8).fitted(78).ema == pytest.approx(1 - 1 / 3.12)
    assert Settings(ema_share=0.005, epochs=8, ema=0.5).fitted(78).ema == pytest.approx(1 - 1 / 3.12)
    assert Settings(ema=0.5).fitted(78).ema == 0.5


@pytest.mark.parametrize(
    ("steps", "an_epoch", "epochs", "expected"),
    [(1, 10, 5, 1), (10, 10, 5, 1), (11, 10, 5, 2), (40, 10, 5, 4), (55_000, 5004, 200, 11)],
)
def test_a_warm_up_in_steps_ends_with_the_epoch_that_it_reaches_into(
    steps: int, an_epoch: int, epochs: int, expected: int
) -> None:
    settings = Settings(method="hsa", epochs=epochs, warmup_steps=steps, warmup=0.9)
    assert settings.fitted(an_epoch).warmup_epochs == expected


@pytest.mark.parametrize("epochs", [2, 3, 7, 49, 199, 1000])
def test_every_whole_number_of_epochs_survives_being_a_share(epochs: int) -> None:
    for first in range(1, epochs):
        assert Settings(epochs=epochs, warmup_steps=7 * first).fitted(7).warmup_epochs == first


@pytest.mark.parametrize(
    ("share", "epochs", "expected"), [(0, 16, 0), (0.055, 16, 1), (1e-9, 16, 1), (0.055, 200, 11)]
)
def test_a_warm_up_lasts_an_epoch_at_least_or_is_none(share: float, epochs: int, expected: int) -> None:
    settings = Settings(method="hsa", epochs=epochs, warmup=share).fitted(10)
    assert settings.warmup_epochs == expected
    method = Method(open_backbone(BackboneRequest(label="a", arch="resnet18-w8-s2")).module, settings)
    method.begin(0)
    assert method.warming == (expected > 0)


def test_a_method_cannot_read_a_warm_up_that_is_not_fitted() -> None:
    with pytest.raises(AssertionError, match="fit the settings"):
        _ = Settings(warmup_steps=5).warmup_epochs


def test_settings_without_either_are_as_they_were() -> None:
    for settings in (Settings(), Settings(method="hsa", ema=0.8, warmup=0.5, epochs=9)):
        assert settings.fitted(3) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ema_share": 0.04}, r"ema_share 0.04: is 0.8 of the training's 20 steps.*a larger share, or ema"),
        ({"ema_share": 0.05}, r"ema_share 0.05: is 1 of the training's 20 steps"),
        ({"warmup_steps": 17}, r"warmup_steps 17: must end before the last epoch begins, after 16 steps"),
        ({"warmup_steps": 2**31 - 1}, "warmup_steps 2147483647: must end before"),
        ({"warmup_steps": 1, "epochs": 1}, r"warmup_steps 1: must end .*after 0 steps \(epochs 1\)"),
    ],
)
def test_a_training_too_short_for_them_is_refused(changes: dict[str, Any], message: str) -> None:
    small = Settings(method="hsa", epochs=5, batch=16, queue=32, bn_groups=4)
    with pytest.raises(PretrainingError, match=message):
        check(replace(small, **changes), images=70)


@pytest.mark.parametrize(
    "wrong", [{"ema_share": -0.1}, {"ema_share": 1.5}, {"ema_share": float("nan")}, {"warmup_steps": -1}]
)
def test_a_share_is_one_and_steps_are_counted(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_warnings_are_of_the_warm_up_in_force() -> None:
    settings = Settings(method="hsa", epochs=8, queue=2048, batch=128, refresh=5)
    assert warnings(replace(settings, warmup_steps=78 * 4 + 1), 10_000) == ()
    (text,) = warnings(replace(settings, warmup_steps=78 * 2, warmup=0.9), 10_000)
    assert text.startswith("epochs 3 to 5 learn from neighbours that the untrained network found")


def training(ctx: Context, **changes: Any) -> Training:
    small = Settings(
        method="hsa", epochs=3, batch=16, queue=32, bn_groups=4, augment="digits", k=3, refresh=1, knn_every=0
    )
    backbone = open_backbone(BackboneRequest(label="x", arch="resnet18-w8-s2"))
    images = open_dataset("digits", Path()).limited(64).train
    return Training(replace(small, **changes), backbone, images, View(32, 32), 0, ctx)


GIVEN = {"ema_share": 0.5, "warmup_steps": 5}
MEANT = {"ema": 1 - 1 / 6, "warmup": 2 / 3}
"""In 12 steps of 3 epochs."""


def test_a_training_is_that_of_the_numbers_and_goes_on_as_such(ctx: Context, tmp_path: Path) -> None:
    plain, given, first = training(ctx, **MEANT), training(ctx, **GIVEN), training(ctx, **GIVEN)
    plain.run(tmp_path / "plain")
    given.run(tmp_path / "given")
    assert weights_hash(given.method) == weights_hash(plain.method)
    assert given.progress.curves == plain.progress.curves

    def stopped(text: str) -> None:
        if text.startswith("epoch 2"):
            raise KeyboardInterrupt

    first.say = stopped
    with pytest.raises(KeyboardInterrupt):
        first.run(tmp_path / "stopped")
    kept = torch.load(tmp_path / "stopped", weights_only=True)["identity"]["settings"]
    assert {name: kept[name] for name in (*GIVEN, "ema")} == {**GIVEN, "ema": 0.999}
    second = training(ctx, **GIVEN)
    second.run(tmp_path / "stopped")
    assert weights_hash(second.method) == weights_hash(plain.method)
    with pytest.raises(PretrainingError, match=r"other ema_share \(0.5, now 0.6\)"):
        training(ctx, **{**GIVEN, "ema_share": 0.6}).run(tmp_path / "stopped")


def test_records_have_the_settings_as_they_were_given() -> None:
    settings = Settings(epochs=3, **GIVEN)  # type: ignore[arg-type]  # a float and an int
    assert asdict(settings)["warmup_steps"] == 5
    assert notes(settings) == ("epochs 3 (200)", "ema_share 0.5 (0.0)", "warmup_steps 5 (0)")


def test_the_protocol_says_when_there_is_no_cosine() -> None:
    assert "rate 0.03, cosine," in Pretrain(method="moco").protocol
    assert "rate 0.03, constant," in Pretrain(method="moco", schedule="constant").protocol
