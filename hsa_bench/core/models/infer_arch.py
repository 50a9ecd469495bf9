"""The architecture of a trunk, read off the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from hsa_bench.core.models.vit_names import vit_name

_DEPTHS: dict[tuple[str, tuple[int, ...]], int] = {
    ("basic", (2, 2, 2, 2)): 18,
    ("basic", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}

MOST_BLOCKS = 200
"""Of a ViT; more are no network that anyone trained."""

_RELATIVES = {
    (50, 128, 1): "wide_resnet50_2",
    (101, 128, 1): "wide_resnet101_2",
    (50, 128, 32): "resnext50_32x4d",
    (101, 256, 32): "resnext101_32x8d",
    (101, 256, 64): "resnext101_64x4d",
}
"""By depth, width within the first blocks, and groups; all with torchvision's stem of 64 channels."""


def infer_arch(state: Mapping[str, Tensor]) -> str:
    """Name the ResNet or ViT these tensors belong to, with width, stem, patch and image size.

    Strides, padding and attention heads leave no trace in shapes: a 3x3 stem is taken for `-cifar`, heads
    for 64 channels wide; name others by --arch.

    Raises:
        ValueError: Neither; the message says what was found.
    """
    return _vit(state) if "patch_embed.proj.weight" in state else _resnet(state)


def inferred(state: Mapping[str, Tensor]) -> str:
    """The same, or empty where there is no telling."""
    try:
        return infer_arch(state)
    except ValueError:
        return ""


def _resnet(state: Mapping[str, Tensor]) -> str:
    blocks: dict[int, set[int]] = {}
    for key in state:
        if found := re.match(r"layer(\d+)\.(\d+)\.", key):
            blocks.setdefault(int(found[1]), set()).add(int(found[2]))
    counts = tuple(len(blocks[i]) for i in sorted(blocks))
    kind = "bottleneck" if "layer1.0.conv3.weight" in state else "basic"
    depth = _DEPTHS.get((kind, counts))
    stem, inner = state.get("conv1.weight"), state.get("layer1.0.conv2.weight")
    shape = tuple(stem.shape) if stem is not None else "none"
    if depth is None or stem is None or inner is None or stem.ndim != 4 or inner.ndim != 4:
        raise ValueError(
            f"the tensors are of no plain ResNet or ViT ({kind} blocks {counts}, conv1 {shape}); "
            "name it with --arch"
        )
    if stem.shape[1] != 3:
        raise ValueError(f"its first convolution {shape} takes {stem.shape[1]} channels, not a picture's 3")
    width, groups = len(inner), len(inner) // max(1, inner.shape[1])
    if (len(stem), width, groups) == (64, width, groups) and (depth, width, groups) in _RELATIVES:
        return _RELATIVES[depth, width, groups]
    if width != len(stem) or groups != 1:
        raise ValueError(
            f"the tensors are of no plain ResNet (conv1 {shape}, within the first blocks {width} channels "
            f"in {groups} groups); name it with --arch"
        )
    named = f"resnet{depth}" + ("" if width == 64 else f"-w{width}")
    return f"{named}{'-cifar' if stem.shape[-1] == 3 else ''}"


def _vit(state: Mapping[str, Tensor]) -> str:
    proj, position = state["patch_embed.proj.weight"], state.get("pos_embed")
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    if proj.ndim != 4 or position is None or position.ndim != 3 or not 0 < depth <= MOST_BLOCKS:
        raise ValueError("the tensors are of no plain ViT (patch or position embedding); name it with --arch")
    width, channels, patch, _ = proj.shape
    if channels != 3:
        raise ValueError(f"its patch embedding takes {channels} channels, not a picture's 3")
    registers = state["reg_token"].shape[1] if "reg_token" in state else 0
    places = position.shape[1] - (0 if registers else 1)
    side = round(places**0.5)
    if side * side != places:
        raise ValueError(
            f"its position embedding has {places} places, which is no square; name it with --arch"
        )
    more = [f"reg{registers}"] * bool(registers)
    more = ["ls"] * ("blocks.0.ls1.gamma" in state) + more
    fc1, fc2 = state.get("blocks.0.mlp.fc1.weight"), state.get("blocks.0.mlp.fc2.weight")
    if fc1 is not None and fc2 is not None and fc1.ndim == fc2.ndim == 2 and len(fc1) == 2 * fc2.shape[1]:
        more.append("swiglu")
    elif fc1 is not None and len(fc1) != 4 * width:
        more.append(f"mlp{len(fc1)}")
    if "fc_norm.weight" in state and "norm.weight" not in state:
        more.append("fcnorm")
    return vit_name(width, depth, patch, side * patch, tuple(more))
