"""The architecture of a trunk, read off the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_DEPTHS: dict[tuple[str, tuple[int, ...]], int] = {
    ("basic", (2, 2, 2, 2)): 18,
    ("basic", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}


def infer_arch(state: Mapping[str, Tensor]) -> str:
    """Name the plain ResNet these tensors belong to, with width and stem.

    Strides leave no trace in shapes: a 3x3 stem is taken for `-cifar`, the usual one; name another by --arch.

    Raises:
        ValueError: Not a plain ResNet; the message says what was found.
    """
    blocks: dict[int, set[int]] = {}
    for key in state:
        if found := re.match(r"layer(\d+)\.(\d+)\.", key):
            blocks.setdefault(int(found[1]), set()).add(int(found[2]))
    counts = tuple(len(blocks[i]) for i in sorted(blocks))
    kind = "bottleneck" if "layer1.0.conv3.weight" in state else "basic"
    stem, inner = state.get("conv1.weight"), state.get("layer1.0.conv2.weight")
    depth = _DEPTHS.get((kind, counts))
    if depth is None or stem is None or inner is None or tuple(inner.shape[:2]) != (len(stem),) * 2:
        shape = tuple(stem.shape) if stem is not None else "none"
        raise ValueError(
            f"the tensors are of no plain ResNet ({kind} blocks {counts}, conv1 {shape}); name it with --arch"
        )
    width = "" if len(stem) == 64 else f"-w{len(stem)}"
    return f"resnet{depth}{width}{'-cifar' if stem.shape[-1] == 3 else ''}"
