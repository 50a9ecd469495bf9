"""Architecture names to trunks: ResNets with small-image stems and narrow widths, ViTs, timm's, one's own."""

from __future__ import annotations

import re
from functools import lru_cache

import torch
from torch import Tensor, nn

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.models.named_models import (
    build_named,
    is_timms,
    is_torchvisions,
    plain_name,
    timm_names,
    torchvision_names,
    without_memory,
)
from hsa_bench.core.models.preprocess import Tokens
from hsa_bench.core.models.probe import dtype_of
from hsa_bench.core.models.user_module import build_own, is_own
from hsa_bench.core.models.vit_names import check_form, is_vit
from hsa_bench.core.results.row_names import PIXELS
from hsa_bench.core.seed import forked

_OURS = re.compile(r"resnet(18|34|50|101|152)(?:-w(\d+))?(-cifar|-s2)?(-pad2)?(-samepool)?")

MOST_WIDTH = 1024
"""Of a ResNet's first stage; the widest that anyone published has 256."""


class SamePool(nn.Module):
    """TensorFlow's 'SAME' 3x3 max-pooling of stride 2: pads right and below alone where sides are even.

    As in SimCLR (google-research/simclr, tf2/resnet.py); torch's pads all four sides, one pixel off.
    """

    def forward(self, x: Tensor) -> Tensor:
        (high, wide), pads = x.shape[-2:], []
        for side in (wide, high):
            whole = max((-(-side // 2) - 1) * 2 + 3 - side, 0)
            pads += [whole // 2, whole - whole // 2]
        return nn.functional.max_pool2d(nn.functional.pad(x, pads, value=-torch.inf), 3, 2)


class ResNetTrunk(nn.Module):
    """A ResNet without its classifier, parameters under torchvision's names.

    Takes over the children of a torchvision or timm ResNet; both call them the same.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        for name, child in net.named_children():
            if name in {"conv1", "bn1", "relu", "act1", "maxpool"} or name.startswith("layer"):
                self.add_module(name, child)
        with torch.no_grad():
            was = self.training
            self.eval()
            maps = self.stages(torch.zeros(1, 3, 64, 64, dtype=dtype_of(self)))
            self.train(was)
        self.stage_dims = tuple(m.shape[1] for m in maps)
        self.dim = self.stage_dims[-1]

    def stages(self, x: Tensor) -> list[Tensor]:
        """Outputs of layer1 to layer4, each [B, C, H, W]."""
        maps = []
        for name, child in self.named_children():
            x = child(x)
            if name.startswith("layer"):
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Features after global average pooling, [B, dim]."""
        return self.stages(x)[-1].mean((2, 3))


class Pixels(nn.Module):
    """The picture itself, averaged down to 32x32 where it is larger. Nothing to load or train."""

    side = 32
    dim = 3 * side * side

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, 3072]."""
        return nn.functional.adaptive_avg_pool2d(x, self.side).flatten(1)


def has_bottlenecks(trunk: nn.Module) -> bool:
    """Whether it is a ResNet whose blocks have three convolutions: of 50, 101 or 152 layers."""
    return any(name.endswith("conv3.weight") for name, _ in trunk.named_parameters())


def build(arch: str, seed: int = 0, tokens: Tokens = "") -> nn.Module:
    """A randomly initialised trunk: a module that maps [B, 3, H, W] to [B, dim], in eval mode.

    Args:
        arch: `resnet18`, `resnet50`, … ; `-wN` sets the first stage's width (the others are 2, 4, 8
            times that), `-cifar` a 3x3 stem without max-pool for small images, `-s2` the same with
            stride 2, a quarter of the work: `resnet18-w16-cifar`; `-pad2` pads that stem by 2,
            `-samepool` pools as TensorFlow. `vit_small_patch16_224`, `vit_w256x8_patch4_32`, … with
            `-h12` (heads), `-mlp512` (hidden width), `-ls` (LayerScale), `-reg4` (registers), `-eps12`
            (of the norms, 1e-12), `-dinopos` (DINO's resampling of positions). Any other model of
            torchvision's ResNets or of timm by its name there. `package.module:function` for one's own.
            Or `pixels`.
        seed: Of the initialisation.
        tokens: What a vision transformer pools; its class token if empty.

    Raises:
        UsageError: No such architecture, or an impossible one; the message suggests one.
    """
    arch = plain_name(arch)
    if tokens and not is_vit(arch):
        raise UsageError(f"--card tokens={tokens}: {arch} is no vision transformer of this suite")
    if arch == PIXELS:
        return Pixels().eval()
    if is_own(arch):
        return build_own(arch, seed)
    check_width(arch)
    with forked(seed, "init", arch):
        if is_vit(arch):
            from hsa_bench.core.models.vit import ViTTrunk

            return ViTTrunk(arch, tokens).eval()
        ours = _OURS.fullmatch(arch)
        net = _resnet(*ours.groups()) if ours else _by_name(arch)
        return ResNetTrunk(net).eval() if _is_resnet(net) else net.eval()


def blank(arch: str, tokens: Tokens = "") -> nn.Module:
    """The trunk for a checkpoint to fill: without memory of its own where all it has is in its tensors."""
    if _OURS.fullmatch(arch) or is_vit(arch):
        with torch.device("meta"):
            return build(arch, tokens=tokens)
    return build(arch, tokens=tokens)


def places(arch: str, tokens: Tokens = "") -> dict[str, Tensor]:
    """The names and shapes of a trunk's tensors, found without memory for them.

    A file may state any name of the table, so nothing is allocated before its tensors are seen to fit.
    """
    return build(arch).state_dict() if is_own(arch) else dict(_places(arch, tokens))


@lru_cache(maxsize=8)
def _places(arch: str, tokens: Tokens) -> dict[str, Tensor]:
    return without_memory(lambda: build(arch, tokens=tokens)).state_dict()


def in_table(arch: str) -> bool:
    """Whether a name stands for one network, whoever reads it: ours, timm's and torchvision's do.

    A function of one's own and a module handed over in Python do not.
    """
    ours = _OURS.fullmatch(arch) is not None or is_vit(arch) or arch == PIXELS
    return ours or is_torchvisions(arch) or _is_resnet_name(arch) or is_timms(arch)


def check_width(arch: str) -> None:
    """Refuse a width that no network has, before memory is asked for.

    Raises:
        UsageError: It is 0, or above what anyone trained.
    """
    ours = _OURS.fullmatch(arch)
    if ours and ours[2] and not 0 < int(ours[2]) <= MOST_WIDTH:
        raise UsageError(f"--arch {arch}: a first stage of {ours[2]} channels; from 1 to {MOST_WIDTH}")
    if is_vit(arch):
        check_form(arch)


def _is_resnet(net: nn.Module) -> bool:
    return all(hasattr(net, name) for name in ("conv1", "bn1", "layer1", "layer4"))


def _resnet(depth: str, width: str | None, stem: str | None, pad2: str | None, same: str | None) -> nn.Module:
    import torchvision

    net = torchvision.models.get_model(f"resnet{depth}", weights=None)
    first = int(width or 64)
    if first != 64:
        block, counts = type(net.layer1[0]), [len(getattr(net, f"layer{i}")) for i in range(1, 5)]
        net.inplanes = first
        net.bn1 = nn.BatchNorm2d(first)
        for i, count in enumerate(counts):
            layer = net._make_layer(block, first * 2**i, count, stride=1 if i == 0 else 2)
            setattr(net, f"layer{i + 1}", layer)
    if stem:
        stride = 2 if stem == "-s2" else 1
        net.conv1 = nn.Conv2d(3, first, 3, stride=stride, padding=2 if pad2 else 1, bias=False)
        net.maxpool = nn.Identity()
    elif first != 64:
        net.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3, bias=False)
    if same and not stem:
        net.maxpool = SamePool()
    if not net.conv1.weight.is_meta:
        for m in net.modules():  # as torchvision initialises its own
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return net


def _is_resnet_name(arch: str) -> bool:
    return "resne" in arch and arch in torchvision_names()


def _by_name(arch: str) -> nn.Module:
    if _is_resnet_name(arch):
        import torchvision

        return torchvision.models.get_model(arch, weights=None)
    if is_torchvisions(arch) or is_timms(arch):
        return build_named(arch)  # its own pooling, no stages
    hint = did_you_mean(arch, ["resnet18-cifar", "resnet18-w16", PIXELS, *sorted(timm_names())])
    raise UsageError(f"--arch {arch}: no such architecture in torchvision, timm or here; {hint}")
