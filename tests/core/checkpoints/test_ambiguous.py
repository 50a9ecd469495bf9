"""Names that files of unlike pictures share: each is told apart by more evidence, or is a question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.preprocess import CAFFE, CIFAR, IMAGENET, UNNORMALISED, Preprocess
from tests.golden.trunk_namings import NAMINGS

ARCH = "resnet18-w8"
ONE = torch.ones(8, 8)
GIVEN = {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}


def trunk(prefix: str, arch: str = ARCH, naming: str = "plain") -> dict[str, Tensor]:
    state = NAMINGS[naming](dict(build(arch, 1).state_dict()))
    return {prefix + name: tensor for name, tensor in state.items()}


def lightning(state: dict[str, Tensor]) -> dict[str, Any]:
    return {"pytorch-lightning_version": "2.0", "global_step": 1, "state_dict": state}


SMALL = f"{ARCH}-cifar"
HEAD = {f"backbone.fc.{i}.{kind}": ONE for i in (0, 2) for kind in ("weight", "bias")}
MOVED = {**trunk(""), "bn1.running_mean": torch.ones(8), "fc.weight": torch.ones(1000, 64)}

FILES: dict[str, dict[str, Any]] = {
    "encoder and projector": {**trunk("encoder."), "projector.0.weight": ONE, "projector.0.bias": ONE},
    "as Spijkervet": {**trunk("encoder."), "projector.0.weight": ONE, "projector.2.weight": ONE},
    "compiled": {f"_orig_mod.{k}": v for k, v in {**trunk("encoder."), "projector.weight": ONE}.items()},
    "convnet": {"state_dict": {**trunk("convnet."), "projection.weight": ONE}, "epoch": 3},
    "arch and head": {"state_dict": {**trunk("backbone."), **HEAD}, "arch": "resnet18", "loss": 3.0},
    "arch and long head": {
        "state_dict": {**trunk("backbone."), **HEAD, "backbone.fc.4.weight": ONE},
        "arch": "resnet18", "epoch": 1, "optimizer": {},
    },
    "row": {**trunk("f.", ARCH, "row without pool"), "g.weight": ONE},
    "detector": {"model": trunk("backbone.bottom_up.", ARCH, "detectron2"), "iteration": 3},
    "zoo": {"model": trunk("", ARCH, "detectron2"), "__author__": "Detectron2 Model Zoo"},
    "not trained by torch": {"state_dict": MOVED},
}  # fmt: skip
"""Each can be read in two ways."""

CHOICES: dict[str, tuple[dict[str, Any], Preprocess]] = {
    "encoder and projector": ({"file_format": "simclr-spijkervet"}, UNNORMALISED),
    "as Spijkervet": ({"file_format": "prefix", "branch": "encoder"}, IMAGENET),
    "compiled": ({"file_format": "simclr-spijkervet"}, UNNORMALISED),
    "convnet": ({"file_format": "prefix", "branch": "state_dict.convnet"}, IMAGENET),
    "arch and head": ({"file_format": "prefix", "branch": "state_dict.backbone"}, IMAGENET),
    "arch and long head": ({"file_format": "simclr-sthalles"}, UNNORMALISED),
    "row": ({"card": {"mean": list(IMAGENET.mean), "std": list(IMAGENET.std)}}, IMAGENET),
    "detector": ({"card": {"channels": "RGB"}}, IMAGENET),
    "zoo": (
        {
            "card": {
                "channels": "BGR",
                "value_range": 255,
                "mean": [123.675, 116.28, 103.53],
                "std": [1, 1, 1],
            }
        },
        CAFFE,
    ),
    "not trained by torch": ({"file_format": "torchvision"}, IMAGENET),
}
"""One of the choices that the message names, and the card that comes of it."""


def opened(path: Path, **said: Any) -> Backbone:
    return open_backbone(BackboneRequest(label="mine", path=str(path), **said))


@pytest.mark.parametrize("name", FILES)
def test_what_can_be_read_in_two_ways_is_a_question_whose_answers_load(name: str, tmp_path: Path) -> None:
    torch.save(FILES[name], tmp_path / "f.pth")

    with pytest.raises(
        CheckpointError, match=r"f\.pth: holds .* read in 2 ways: `--(format|card)"
    ) as refusal:
        opened(tmp_path / "f.pth")
    with pytest.raises(CheckpointError, match="read in 2 ways"):  # an architecture says nothing of pictures
        opened(tmp_path / "f.pth", arch=ARCH)

    asked, card = CHOICES[name]
    assert f"--format {asked['file_format']}" in str(refusal.value) if "file_format" in asked else True
    assert opened(tmp_path / "f.pth", **asked).card == card


@pytest.mark.parametrize("name", ["encoder and projector", "convnet", "arch and head"])
def test_mean_and_deviation_given_by_hand_leave_no_question(name: str, tmp_path: Path) -> None:
    torch.save(FILES[name], tmp_path / "f.pth")

    found = opened(tmp_path / "f.pth", card=GIVEN)

    assert found.card == Preprocess(mean=(0.5,) * 3, std=(0.2,) * 3)
    assert not any("deviation" in text or "pixels" in text for text in found.source.assumed)


def test_a_small_stem_under_anyones_classifier_is_a_question(tmp_path: Path) -> None:
    file = lightning({**trunk("backbone.", SMALL), "classifier.weight": ONE})
    torch.save(file, tmp_path / "f.ckpt")

    with pytest.raises(
        CheckpointError, match=r"`--format sololearn`.*`--format lightning --branch backbone`"
    ):
        opened(tmp_path / "f.ckpt")

    assert opened(tmp_path / "f.ckpt", file_format="sololearn").arch == f"{SMALL}-pad2"
    assert opened(tmp_path / "f.ckpt", file_format="lightning", branch="backbone").arch == SMALL
    assert opened(tmp_path / "f.ckpt", arch=SMALL).arch == SMALL
    (tmp_path / "args.json").write_text(json.dumps({"data": {"dataset": "cifar10"}}))
    told = opened(tmp_path / "f.ckpt")
    assert (told.arch, told.card) == (f"{SMALL}-pad2", CIFAR)


def test_a_detector_that_keeps_its_input_is_read_by_it(tmp_path: Path) -> None:
    state = trunk("backbone.bottom_up.", ARCH, "detectron2")
    bgr = {"pixel_mean": torch.tensor([103.53, 116.28, 123.675]), "pixel_std": torch.ones(3)}
    rgb = {"pixel_mean": 255 * torch.tensor(IMAGENET.mean), "pixel_std": 255 * torch.tensor(IMAGENET.std)}

    for kept, card in ((bgr, CAFFE), (rgb, IMAGENET)):
        held = {name: value.view(3, 1, 1) for name, value in kept.items()}
        torch.save({"model": {**state, **held}}, tmp_path / "f.pth")
        assert opened(tmp_path / "f.pth").card == card


@pytest.mark.parametrize(
    ("file", "assumed"),
    [
        (trunk(""), "ImageNet's mean and deviation"),
        ({"model_state_dict": trunk("")}, "ImageNet's mean and deviation"),
        (
            {"state_dict": {**trunk("backbone."), **HEAD}, "arch": "r", "epoch": 1, "optimizer": {}},
            "pixels in [0, 1], not normalised",
        ),
        (
            {"model": trunk(""), "model_ema": trunk("")},
            "the network, not its moving average (--branch ema)",
        ),
    ],
)
def test_what_the_file_does_not_say_is_told(file: dict[str, Any], assumed: str, tmp_path: Path) -> None:
    torch.save(file, tmp_path / "f.pth")

    assert assumed in opened(tmp_path / "f.pth").source.assumed


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", {"layer_norm_eps": 1e-5}, "config.json beside it, field layer_norm_eps: "),
        ("config.json", {"layer_norm_eps": "small"}, "config.json beside it, field layer_norm_eps: "),
        ("config.json", {"num_attention_heads": 0}, "field num_attention_heads: is no count, not 0"),
        ("config.json", {"num_attention_heads": True}, "field num_attention_heads: is no count"),
        ("config.json", {"num_attention_heads": 7}, "cannot be shared by 7 attention heads"),
        ("config.json", "{", "config.json beside it cannot be read as JSON"),
        ("config.json", "[" * 100_000, "config.json beside it cannot be read as JSON"),
        ("config.json", [], "config.json beside it holds a list"),
        ("preprocessor_config.json", {"image_mean": [0.5] * 3}, "field image_std: is missing"),
        ("preprocessor_config.json", {"image_mean": [0.5] * 3, "image_std": [0, 1, 1]}, "field image_std"),
        ("preprocessor_config.json", {"image_mean": 3, "image_std": [1, 1, 1]}, "field image_mean"),
    ],
)
def test_a_small_file_beside_it_that_is_amiss_is_named_with_its_field(
    name: str, text: Any, message: str, tmp_path: Path
) -> None:
    torch.save(trunk("", "vit_w64x2_patch8_32", "hf-vit"), tmp_path / "f.pth")
    (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(text))

    with pytest.raises(CheckpointError, match=message):
        opened(tmp_path / "f.pth")


def test_a_broken_file_beside_one_that_needs_none_is_passed_over(tmp_path: Path) -> None:
    torch.save(trunk(""), tmp_path / "f.pth")
    (tmp_path / "config.json").write_text("{")

    assert opened(tmp_path / "f.pth").arch == ARCH
