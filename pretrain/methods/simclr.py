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
    """One encoder, gradients through both views and all negatives.

    Under LARS the gradients are those of google-research/simclr's code, whose loss is `loss_a + loss_b`, each
    a mean over the n pictures (objective.py:87-91 @383d414): twice the paper's mean over 2n views. LARS
    divides the factor out where it adapts, but for the weight beside decay; scales and offsets of batch norm,
    and biases, which it does not adapt, move twice as far. The loss that is shown stays the paper's mean.
    Under SGD a factor is one of the rate, and published rates belong to the mean (lightly's).
    """

    def __init__(self, trunk: nn.Module, settings: Settings) -> None:
        super().__init__(Encoder(trunk, (), settings.projection), settings)
        group_batch_norm(self.encoder, WHOLE_BATCH)

    def forward(self, views: list[Tensor]) -> dict[str, Tensor]:
        """One step's loss from two views, each [N, 3, H, W]; under LARS its gradients are twice as large."""
        [z0], [z1] = self.encoder.each(views)
        loss = nt_xent(z0, z1, self.settings.temperature)
        return {"loss": _twice_as_steep(loss) if self.settings.optimiser == "lars" else loss}


def _twice_as_steep(loss: Tensor) -> Tensor:
    """Return the same value, to the bit, with twice the gradient."""
    return loss + (loss - loss.detach())
