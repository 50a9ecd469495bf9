"""Resume files outlive the version that wrote them: their layout is frozen here."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from hsa_bench.core.context import Context
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.models.preprocess import STD_228
from pretrain.export import budget, export, holds_training
from pretrain.loop import Training
from pretrain.older_files import LATER
from pretrain.settings import Settings
from tests.support.training import digits_training

SETTINGS = Settings(
    method="hsa", epochs=2, batch=16, queue=32, augment="digits", head_bn="hidden", k=3, refresh=2
)

PARTS = {"identity", "method", "optimiser", "progress", "neighbours"}
IDENTITY = {"version", "settings", "weights", "arch", "card", "data", "view", "seed"}
PROGRESS = {
    "epoch": 0,
    "seconds": 7.0,
    "flops": 5.0,
    "step_flops": 3.0,
    "views": 0.0,
    "curves": {},
    "warnings": ["said before"],
}


def training(ctx: Context, settings: Settings = SETTINGS) -> Training:
    return digits_training(settings, ctx, "resnet18-w16", 64)


def by_hand(work: Training) -> dict[str, object]:
    """A file as version 0.1 wrote it, before the first epoch."""
    return {
        "identity": {
            "settings": {name: value for name, value in asdict(SETTINGS).items() if name not in LATER},
            "weights": work.backbone.weights,
            "data": work.images.fingerprint(),
            "view": {"size": 32, "resize": 32, "interpolation": "bilinear", "squash": False},
            "seed": 0,
        },
        "method": work.method.state_dict(),
        "optimiser": work.optimiser.state_dict(),
        "progress": dict(PROGRESS),
        "neighbours": None,
    }


def test_a_resume_file_of_an_earlier_version_is_taken_up(ctx: Context, tmp_path: Path) -> None:
    undisturbed, resumed = training(ctx), training(ctx)
    undisturbed.run(tmp_path / "new")
    torch.save(by_hand(resumed), tmp_path / "old")
    resumed.run(tmp_path / "old")
    assert weights_hash(resumed.method) == weights_hash(undisturbed.method)
    assert resumed.progress.curves == undisturbed.progress.curves
    assert resumed.earlier_seconds == 7 < resumed.progress.seconds
    assert resumed.progress.flops == undisturbed.progress.flops + 5
    assert resumed.progress.warnings[0] == "said before"

    written = torch.load(tmp_path / "new", weights_only=True)
    assert set(written) == PARTS
    assert set(written["identity"]) == IDENTITY
    assert set(written["progress"]) == {*PROGRESS, "pixels", "ended"}
    assert written["neighbours"].shape == (64, 3)


def test_a_training_that_an_earlier_version_began_goes_on_and_says_so(ctx: Context, tmp_path: Path) -> None:
    said: list[str] = []
    resumed = training(replace(ctx, say=said.append))
    file = by_hand(resumed)
    file["progress"] = {
        **PROGRESS,
        "epoch": 2,
        "curves": {"loss": [1.0, 1.0]},
    }  # all, so that none is trained
    torch.save(file, tmp_path / "old")
    resumed.run(tmp_path / "old")
    assert "goes on after epoch 2 of 2, begun by version 2 of pretraining (now 3)" in said
    assert resumed.progress.warnings[:2] == [
        "said before",
        "epochs 1 to 2 are by version 2 of pretraining, the others by version 3, which trains otherwise",
    ]
    resumed.resumable.save(tmp_path / "now", resumed.progress)
    again = training(ctx)
    again.run(tmp_path / "now")
    assert again.progress.warnings == resumed.progress.warnings


def test_a_resume_file_of_another_layout_says_what_to_do(ctx: Context, tmp_path: Path) -> None:
    work = training(ctx)
    file = by_hand(work)
    file["progress"] = {**PROGRESS, "lap": 1.0}
    torch.save(file, tmp_path / "other")
    with pytest.raises(
        PretrainingError, match=r"other: is no resume file of this version .*; remove it to start anew"
    ):
        work.run(tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "usual", "now"),
    [
        ("augment_on", "cpu", "device"),
        ("ema_share", 0.0, 0.5),
        ("warmup_steps", 0, 3),
        ("symmetric", False, True),
        ("knn_of", "features", "embedding"),
        ("knn_k", 20, 200),
        ("knn_temperature", 0.07, 0.1),
    ],
)
def test_a_later_setting_is_read_as_its_default_in_an_earlier_file(
    name: str, usual: object, now: object, ctx: Context, tmp_path: Path
) -> None:
    assert name in LATER
    work = training(ctx, replace(SETTINGS, **{name: now}))  # type: ignore[arg-type]  # of the field's type
    torch.save(by_hand(work), tmp_path / "old")
    with pytest.raises(PretrainingError, match=rf"other {name} \({usual}, now {now}\); remove it"):
        work.run(tmp_path / "old")


@pytest.mark.parametrize(
    ("field", "other", "told"),
    [("arch", "resnet18-w16-s2", "arch"), ("card", STD_228, r"std \(\[0.229, .*now \[0.228, .*\)")],
)
def test_strides_and_normalisation_are_of_the_training_that_goes_on(
    field: str, other: object, told: str, ctx: Context, tmp_path: Path
) -> None:
    work = training(ctx)
    work.resumable.save(tmp_path / "stopped", work.progress)
    unlike = replace(work.backbone, **{field: other})  # type: ignore[arg-type]  # of the field's type
    with pytest.raises(PretrainingError, match=f"with other {told}; remove it"):
        Training(SETTINGS, unlike, work.images, work.view, 0, ctx).run(tmp_path / "stopped")


def test_a_checkpoint_of_an_earlier_version_is_known_as_this_training(ctx: Context, tmp_path: Path) -> None:
    done, file = training(ctx), tmp_path / "out.pth"
    export(done, file, budget(done, "digits"))
    held = torch.load(file, weights_only=True)
    for name in LATER:
        del held["settings"][name]
    torch.save(held, file)
    assert holds_training(done, file)
    for earlier in ({"version": 1}, {}):
        torch.save({**{name: value for name, value in held.items() if name != "version"}, **earlier}, file)
        told = rf"holds another pretraining \(by version {earlier.get('version', 2)} of pretraining, now 3\)"
        with pytest.raises(PretrainingError, match=told):
            holds_training(done, file)
    with pytest.raises(PretrainingError, match="holds another pretraining"):
        holds_training(training(ctx, replace(SETTINGS, augment_on="device")), file)
