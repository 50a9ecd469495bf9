"""A ResNet's tensors under Detectron2's names, and back (facebookresearch/moco, detection/convert-*)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor


def to_detectron2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a trunk by Detectron2's names: `layer1.0.bn2.bias` is `res2.0.conv2.norm.bias`."""
    return {_there(name): tensor for name, tensor in state.items()}


def to_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a Detectron2 ResNet by torchvision's names, the inverse of `to_detectron2`."""
    return {_back(name): tensor for name, tensor in state.items()}


def _there(name: str) -> str:
    name = re.sub(r"^layer(\d)", lambda m: f"res{int(m[1]) + 1}", name)
    name = name if name.startswith("res") else f"stem.{name}"
    name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
    return re.sub(r"bn(\d)", r"conv\1.norm", name)


def _back(name: str) -> str:
    name = re.sub(r"conv(\d)\.norm", r"bn\1", name.removeprefix("stem."))
    name = name.replace("shortcut.norm", "downsample.1").replace("shortcut", "downsample.0")
    return re.sub(r"^res(\d)", lambda m: f"layer{int(m[1]) - 1}", name)
