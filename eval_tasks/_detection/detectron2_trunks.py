"""Which ResNets Detectron2 can hold."""

from __future__ import annotations

from torch import nn

from hsa_bench.core.models.architectures import ResNetTrunk

BLOCKS = {
    (2, 2, 2, 2): {"basic": 18},
    (3, 4, 6, 3): {"basic": 34, "bottleneck": 50},
    (3, 4, 23, 3): {"bottleneck": 101},
    (3, 8, 36, 3): {"bottleneck": 152},
}
"""Layers of a ResNet by its blocks in each stage and their kind."""


def depth(trunk: nn.Module) -> int:
    """Layers of a trunk that Detectron2 can hold.

    Raises:
        ValueError: It cannot hold this one; the message says why and what to do.
    """
    reason = refusal(trunk)
    if reason:
        raise ValueError(reason)
    return _depth(trunk) or 0


def refusal(trunk: nn.Module) -> str:
    """Why Detectron2 cannot hold a trunk; empty if it can."""
    remedy = "use engine=torchvision"
    if not isinstance(trunk, ResNetTrunk):
        return f"Detectron2 takes ResNets, and this is a {type(trunk).__name__}; {remedy}"
    shapes = {name: tuple(tensor.shape) for name, tensor in trunk.state_dict().items()}
    if shapes.get("conv1.weight") != (64, 3, 7, 7) or not isinstance(trunk.maxpool, nn.MaxPool2d):
        return (
            f"Detectron2's ResNets have a 7x7 stem of 64 channels and max-pooling, this one has not; {remedy}"
        )
    wanted = _shapes(_depth(trunk))
    if shapes != wanted:
        unlike = sorted(shapes.items() ^ wanted.items())
        example = f", for example at {unlike[0][0]}" if wanted else ""
        return f"its layers are not those of an ordinary ResNet-18, 34, 50, 101 or 152{example}; {remedy}"
    return ""


def _depth(trunk: nn.Module) -> int | None:
    stages = [trunk.get_submodule(f"layer{i}") for i in range(1, 5)]
    counts = tuple(len(list(stage.children())) for stage in stages)
    kind = "bottleneck" if hasattr(next(iter(stages[0].children())), "conv3") else "basic"
    return BLOCKS.get((counts[0], counts[1], counts[2], counts[3]), {}).get(kind)


def _shapes(layers: int | None) -> dict[str, tuple[int, ...]]:
    """Of torchvision's ResNet with so many layers, less its classifier."""
    import torch
    import torchvision

    if layers is None:
        return {}
    with torch.device("meta"):
        net = torchvision.models.get_model(f"resnet{layers}", weights=None)
    state = net.state_dict().items()
    return {name: tuple(tensor.shape) for name, tensor in state if not name.startswith("fc.")}
