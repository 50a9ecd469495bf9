"""Vision transformers by timm's names for their tensors, of any width, depth, patch and image size."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.layers.mlp import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.preprocess import Tokens
from hsa_bench.core.models.vit_names import form_of


class ViTTrunk(VisionTransformer):
    """A vision transformer without its classifier; other image sizes resample its position embedding."""

    def __init__(self, arch: str, tokens: Tokens = "") -> None:
        form = form_of(arch)
        averaged = "fcnorm" in form.more
        swiglu: dict[str, Any] = {"mlp_layer": SwiGLUPacked, "mlp_ratio": 16 / 3}
        mlp: dict[str, Any] = {"mlp_ratio": form.hidden / form.width}
        super().__init__(
            img_size=form.image,
            patch_size=form.patch,
            embed_dim=form.width,
            depth=form.depth,
            num_heads=form.heads,
            init_values=1e-5 if "ls" in form.more else None,
            reg_tokens=form.registers,
            no_embed_class=form.registers > 0,
            norm_layer=partial(nn.LayerNorm, eps=1e-12 if "eps12" in form.more else 1e-6),
            num_classes=0,
            fc_norm=averaged,
            final_norm=True,
            global_pool="avg" if averaged else "token",
            dynamic_img_size=True,
            dynamic_img_pad=True,
            **(swiglu if "swiglu" in form.more else mlp),
        )
        self.dinopos = "dinopos" in form.more
        if averaged and tokens not in {"", "mean"}:
            raise UsageError(f"--card tokens={tokens}: {arch} has a norm for the patches' mean alone")
        self.averaged = averaged
        self.tokens: Tokens = "mean" if averaged else tokens or "cls"
        self.dim = 2 * form.width if self.tokens == "cls+mean" else form.width

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no mask and no causality here
        """[B, 3, H, W] to [B, dim], after the last norm: the class token, the patches' mean, or both.

        With `-fcnorm` the mean is taken first, and then its norm.
        """
        return self._taken(self.forward_features(x))

    def readout(self, tokens: Tensor) -> Tensor:
        """Tokens as a block gives them, [B, class + registers + patches, width], to features, [B, dim]."""
        return self._taken(self.norm(tokens))

    def _taken(self, tokens: Tensor) -> Tensor:
        if self.averaged:  # MAE's fine-tuning and BEiT normalise the mean, not the tokens
            return self.fc_norm(tokens[:, self.num_prefix_tokens :].mean(1))
        first, patches = tokens[:, 0], tokens[:, self.num_prefix_tokens :].mean(1)
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
