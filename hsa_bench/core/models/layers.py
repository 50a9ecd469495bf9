"""What the layers of a trunk say of a picture: pooled, in one forward pass with the trunk's own features."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from hsa_bench.core.models.architectures import ResNetTrunk

LAST = ""
"""The name of the trunk's own features."""


@dataclass(frozen=True)
class Pool:
    """Average pooling of a feature map to about 9,000 numbers of a ResNet-50, as VISSL does it.

    facebookresearch/vissl @09270ed, configs/config/benchmark/linear_image_classification/imagenet1k/
    eval_resnet_8gpu_transfer_in1k_linear.yaml (LINEAR_EVAL_FEAT_POOL_OPS_MAP); the protocol of Goyal et al.
    2019 (arXiv:1905.01235).
    """

    side: int
    """Of the map, for a picture of 224 px."""
    kernel: int
    stride: int
    padding: int

    @property
    def grid(self) -> int:
        """Side after pooling."""
        return (self.side + 2 * self.padding - self.kernel) // self.stride + 1

    def __call__(self, found: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C x grid x grid]; a map of another side is pooled to the same grid, or less."""
        high, wide = found.shape[-2:]
        if (high, wide) == (self.side, self.side):
            return avg_pool2d(found, self.kernel, self.stride, self.padding).flatten(1)
        return adaptive_avg_pool2d(found, (min(high, self.grid), min(wide, self.grid))).flatten(1)


STEM = Pool(112, 10, 10, 4)
STAGES = (Pool(56, 16, 8, 0), Pool(28, 13, 5, 0), Pool(14, 8, 3, 0), Pool(7, 6, 1, 0))

Readout = Callable[[Tensor], Tensor]
"""The output of a layer to features, [B, D]."""


def layer_names(module: nn.Module) -> tuple[str, ...]:
    """`stem`, `stage1` … of a ResNet, `block1` … of a vision transformer, shallow to deep; else none."""
    return tuple(_layers(module))


@contextmanager
def watched(module: nn.Module, names: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """A dictionary that holds the features of some layers, [B, D], after every forward pass of the module.

    A ResNet's stem and stages are pooled as VISSL pools them. Of each block of a vision transformer the
    tokens are taken that the trunk itself takes, after the trunk's last norm, as DINO does it
    (facebookresearch/dino @7c446df vision_transformer.py:get_intermediate_layers).
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, readout: Readout, _: nn.Module, __: object, output: Tensor) -> None:
        found[name] = readout(output)

    hooks = [
        layer.register_forward_hook(partial(keep, name, readout))
        for name, (layer, readout) in (_layers(module) if names else {}).items()
        if name in names
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _layers(module: nn.Module) -> dict[str, tuple[nn.Module, Readout]]:
    """By name: which part of the module, and how its output becomes features."""
    from hsa_bench.core.models.vit import ViTTrunk  # timm takes seconds to import

    if isinstance(module, ResNetTrunk):
        parts = dict(module.named_children())
        stem = parts.get("relu", parts.get("act1"))
        stages = [part for name, part in parts.items() if name.startswith("layer")]
        named: dict[str, tuple[nn.Module, Readout]] = {} if stem is None else {"stem": (stem, STEM)}
        return named | {
            f"stage{i}": (part, pool) for i, (part, pool) in enumerate(zip(stages, STAGES, strict=True), 1)
        }
    if isinstance(module, ViTTrunk):
        return {f"block{i}": (block, module.readout) for i, block in enumerate(module.blocks, 1)}
    return {}
