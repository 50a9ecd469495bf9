"""Vision transformers by timm's names for their tensors, of any width, depth, patch and image size."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import torch
from timm.layers.mlp import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from hsa_bench.core.card import Tokens

_SIZES = {
    "tiny": (192, 12),
    "small": (384, 12),
    "base": (768, 12),
    "large": (1024, 24),
    "huge": (1280, 32),
}
"""Width and depth by name (Dosovitskiy et al. 2021, arXiv:2010.11929, table 1; DeiT's for the first two)."""

_HEADS = {1280: 16}
"""Attention heads by width where a head is not 64 wide."""

_NAME = re.compile(
    r"vit_(?:(tiny|small|base|large|huge)|w(\d+)x(\d+))_patch(\d+)_(\d+)((?:-(?:h\d+|ls|reg\d+|swiglu|eps12|mlp\d+|dinopos))*)"
)


class ViTTrunk(VisionTransformer):
    """A vision transformer without its classifier; other image sizes resample its position embedding."""

    def __init__(self, arch: str, tokens: Tokens = "") -> None:
        found = _NAME.fullmatch(arch)
        if not found:
            raise ValueError(f"--arch {arch}: write vit_small_patch16_224 or vit_w256x8_patch4_32")
        width, depth = _SIZES[found[1]] if found[1] else (int(found[2]), int(found[3]))
        more = set(found[6].split("-")[1:])
        heads = next((int(m[1:]) for m in more if re.fullmatch(r"h\d+", m)), usual_heads(width))
        hidden = next((int(m[3:]) for m in more if m.startswith("mlp")), 4 * width)
        registers = next((int(m[3:]) for m in more if m.startswith("reg")), 0)
        swiglu: dict[str, Any] = {"mlp_layer": SwiGLUPacked, "mlp_ratio": 16 / 3} if "swiglu" in more else {}
        form = {"mlp_ratio": hidden / width, **swiglu}
        super().__init__(
            img_size=int(found[5]),
            patch_size=int(found[4]),
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            init_values=1e-5 if "ls" in more else None,
            reg_tokens=registers,
            no_embed_class=registers > 0,
            norm_layer=partial(nn.LayerNorm, eps=1e-12 if "eps12" in more else 1e-6),
            num_classes=0,
            dynamic_img_size=True,
            dynamic_img_pad=True,
            **form,
        )
        self.dinopos = "dinopos" in more
        self.tokens: Tokens = tokens or "cls"
        self.dim = 2 * width if self.tokens == "cls+mean" else width

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no mask and no causality here
        """[B, 3, H, W] to [B, dim], after the last norm: the class token, the patches' mean, or both."""
        found = self.forward_features(x)  # [B, class + registers + patches, width]
        first, patches = found[:, 0], found[:, self.num_prefix_tokens :].mean(1)
        if self.tokens == "cls+mean":
            return torch.cat([first, patches], 1)
        return first if self.tokens == "cls" else patches

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Patches [B, rows, columns, width] with positions and class token, resampled as DINO does it.

        Bicubic, not smoothed, a tenth of a patch off (facebookresearch/dinov2 @b8931f7,
        dinov2/models/vision_transformer.py:interpolate_pos_encoding); timm smooths it.
        """
        _, rows, columns, width = x.shape
        assert self.pos_embed is not None and self.cls_token is not None
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if not self.dinopos or (rows, columns) == (side, side):
            return super()._pos_embed(x)
        first, grid = (
            self.pos_embed[:, :1],
            self.pos_embed[:, 1:].view(1, side, side, width).permute(0, 3, 1, 2),
        )
        factor = ((rows + 0.1) / side, (columns + 0.1) / side)
        grid = nn.functional.interpolate(grid, scale_factor=factor, mode="bicubic")
        assert grid.shape[-2:] == (rows, columns), f"{tuple(grid.shape)} for {rows} x {columns} patches"
        position = torch.cat([first, grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], 1) + position


def is_vit(arch: str) -> bool:
    """Whether the name is one of `ViTTrunk`'s."""
    return _NAME.fullmatch(arch) is not None


def vit_name(width: int, depth: int, patch: int, image: int, more: tuple[str, ...] = ()) -> str:
    """Name of an architecture: `vit_small_patch16_224`, `vit_w256x8_patch4_32-ls-reg4`."""
    size = next((name for name, form in _SIZES.items() if form == (width, depth)), f"w{width}x{depth}")
    return "-".join([f"vit_{size}_patch{patch}_{image}", *more])


def usual_heads(width: int) -> int:
    """Attention heads where no one says otherwise: 64 channels each."""
    return _HEADS.get(width, max(1, width // 64))


def with_heads(arch: str, heads: int) -> str:
    """The name with a number of attention heads, which no shape shows."""
    bare = re.sub(r"-h\d+", "", arch)
    found = _NAME.fullmatch(bare)
    assert found, f"{arch} is no vision transformer"
    width = _SIZES[found[1]][0] if found[1] else int(found[2])
    stem, *more = bare.split("-")
    return bare if heads == usual_heads(width) else "-".join([stem, f"h{heads}", *more])
