"""Trunk and projection heads: what a contrastive method trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.backbone import Trunk
from hsa_bench.core.models.batch_norm import joinable, several_calls
from pretrain.heads import Projection, StageHead, halvings, mlp_head

LAST = 4
"""Stage whose pooled features the MLP head takes; earlier ones get a residual head."""


class Encoder(nn.Module):
    """Pictures to one embedding a level, each of unit length."""

    def __init__(self, trunk: nn.Module, levels: Sequence[int], form: Projection) -> None:
        """Build the heads.

        Args:
            trunk: With stages, e.g. a ResNetTrunk.
            levels: Earlier stages that get a head of their own, e.g. (3,); the last stage always has one.
            form: Of the MLPs.

        Raises:
            UsageError: A level that the trunk does not have.
        """
        super().__init__()
        self.trunk = trunk
        stages = cast(Trunk, trunk)
        wrong = [level for level in levels if not 1 <= level < len(stages.stage_dims)]
        if wrong:
            raise UsageError(
                f"levels {wrong}: the backbone's earlier stages are 1 to {len(stages.stage_dims) - 1}"
            )
        self.levels = (*levels, LAST)
        self.joined: bool | None = None
        """Whether `each` embeds batches of one shape in one pass, equal but for rounding; None: on devices
        other than the CPU, where it would save nothing."""
        self.compiled: Callable[[Tensor], list[Tensor]] | None = None
        """`embed` as compiled by torch, if it is."""
        # A third convolution in a block makes it a bottleneck, in torchvision and in timm.
        block = Bottleneck if any(".conv3." in name for name in trunk.state_dict()) else BasicBlock
        with torch.no_grad():
            maps = stages.stages(torch.zeros(2, 3, 64, 64))
        self.heads = nn.ModuleList(
            StageHead(
                stages.stage_dims[level - 1],
                stages.stage_dims[-1],
                halvings(maps[level - 1].shape[-1], maps[-1].shape[-1]),
                block,
                form,
            )
            for level in levels
        )
        self.heads.append(mlp_head(stages.stage_dims[-1], form))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """[N, 3, H, W] to embeddings [N, out], one for each of `levels`, the last stage's last.

        They are never below float32, whatever the layers compute with.
        """
        return (self.compiled or self.embed)(pictures)

    def embed(self, pictures: Tensor) -> list[Tensor]:
        """Compute what `forward` returns, uncompiled."""
        maps = cast(Trunk, self.trunk).stages(pictures)
        inputs = [*(maps[level - 1] for level in self.levels[:-1]), maps[-1].mean((2, 3))]
        embeddings = [head(x) for head, x in zip(self.heads, inputs, strict=True)]
        with torch.autocast(pictures.device.type, enabled=False):
            return [F.normalize(z.to(torch.promote_types(z.dtype, torch.float32)), dim=1) for z in embeddings]

    def each(self, batches: Sequence[Tensor]) -> list[list[Tensor]]:
        """Embed several batches, [N, 3, H, W] each, as if one after the other."""
        rows = (list(row) for _, row in groupby(batches, key=lambda batch: batch.shape))
        return [embeddings for row in rows for embeddings in self._alike(row)]

    def _alike(self, batches: list[Tensor]) -> list[list[Tensor]]:
        """Embed batches of one shape."""
        joined = batches[0].device.type != "cpu" if self.joined is None else self.joined
        if len(batches) == 1 or not joined or not joinable(self):
            return [self(batch) for batch in batches]
        with several_calls(self, len(batches)):
            levels = [level.chunk(len(batches)) for level in self(torch.cat(batches))]
        return [list(one) for one in zip(*levels, strict=True)]
