from __future__ import annotations

import pytest
import torch

from eval_tasks._detection.detectron2_trunks import depth, refusal
from hsa_bench.core.checkpoints.detectron2_names import to_detectron2, to_torchvision
from hsa_bench.core.models.architectures import build


@pytest.mark.parametrize("layers", [18, 50, 101])
def test_names_come_back_bit_equal(layers: int) -> None:
    state = build(f"resnet{layers}").state_dict()

    there = to_detectron2(state)
    back = to_torchvision(there)

    assert len(there) == len(state)
    assert list(back) == list(state)
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("conv1.weight", "stem.conv1.weight"),
        ("bn1.running_var", "stem.conv1.norm.running_var"),
        ("layer1.0.conv2.weight", "res2.0.conv2.weight"),
        ("layer4.2.bn3.bias", "res5.2.conv3.norm.bias"),
        ("layer3.0.downsample.0.weight", "res4.0.shortcut.weight"),
        ("layer3.0.downsample.1.num_batches_tracked", "res4.0.shortcut.norm.num_batches_tracked"),
    ],
)
def test_names_are_those_of_mocos_conversion(here: str, there: str) -> None:
    value = {here: torch.zeros(1)}

    assert list(to_detectron2(value)) == [there]
    assert list(to_torchvision({there: torch.zeros(1)})) == [here]


@pytest.mark.parametrize("layers", [18, 34, 50, 101, 152])
def test_ordinary_resnets_are_taken(layers: int) -> None:
    assert depth(build(f"resnet{layers}")) == layers


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("resnet18-w16", "7x7 stem of 64 channels"),
        ("resnet18-cifar", "7x7 stem of 64 channels"),
        ("wide_resnet50_2", "layers are not those of an ordinary ResNet"),
        ("resnext50_32x4d", "layers are not those of an ordinary ResNet"),
        ("pixels", "this is a Pixels"),
    ],
)
def test_other_trunks_are_refused_with_reason_and_remedy(arch: str, reason: str) -> None:
    trunk = build(arch)

    assert reason in refusal(trunk)
    assert "use engine=torchvision" in refusal(trunk)
    with pytest.raises(ValueError, match="engine=torchvision"):
        depth(trunk)
