"""SimCLR: two views of each picture against all others of the batch (arXiv:2002.05709)."""

from __future__ import annotations

from torch import Tensor, nn

from hsa_bench.core.models.batch_norm import group_batch_norm
from pretrain.contrastive import Contrastive
from pretrain.encoder import Encoder
from pretrain.losses.nt_xent import nt_xent
from pretrain.settings import Settings

WHOLE_BATCH = 1
"""Batch norm runs over the pictures of all processes (sec. 2.2, "Global BN")."""


class Method(Contrastive):
    """One encoder, gradients through both views and all negatives."""

    def __init__(self, trunk: nn.Module, settings: Settings) -> None:
        super().__init__(Encoder(trunk, (), settings.projection), settings)
        group_batch_norm(self.encoder, WHOLE_BATCH)

    def forward(self, views: list[Tensor]) -> dict[str, Tensor]:
        """One step's loss from two views, each [N, 3, H, W]."""
        [z0], [z1] = self.encoder.each(views)
        return {"loss": nt_xent(z0, z1, self.settings.temperature)}
