"""HSA: several positives an anchor, mixing, and the loss at earlier stages (arXiv:2012.02733).

Single-level part: the first author's code, haohang96/CSML @be34e84. Levels and small crops: the abstract, and
the same author's follow-up branches `mhead` and `mc` (haohang96/moco_group_ShuffleBN @6d4f100, @c6ada30);
their design here is inferred.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor, nn

from hsa_bench.core.models.batch_norm import group_batch_norm
from hsa_bench.core.processes import gathered, own_part
from pretrain.contrastive import Contrastive
from pretrain.data.cutmix import Mixture, cutmix
from pretrain.data.shuffle import shuffled_keys
from pretrain.ema import follow
from pretrain.encoder import Encoder
from pretrain.key_queue import KeyQueue
from pretrain.losses.hsa import HsaTerms, pulled
from pretrain.losses.info_nce import info_nce
from pretrain.settings import Settings

OWN_ONLY = (1.0, 0.0)


class Method(Contrastive):
    """MoCo whose anchors have a mined neighbour, are mixed with it, and are compared at several levels."""

    queued: ClassVar[bool] = True

    def __init__(self, trunk: nn.Module, settings: Settings) -> None:
        super().__init__(Encoder(trunk, settings.levels, settings.projection), settings)
        group_batch_norm(self.encoder, settings.groups)
        self.key_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.queues = nn.ModuleList(KeyQueue(settings.dim, settings.queue) for _ in self.encoder.levels)
        self.level_weights = (*(settings.level_weights or (1.0,) * len(settings.levels)), 1.0)
        self.warming = True

    @property
    def pairs(self) -> bool:
        """Whether an item comes with views of a mined neighbour."""
        return self.settings.neighbours

    @property
    def crops(self) -> tuple[int, ...]:
        """Sides of the anchor's small crops, px."""
        return self.settings.crops

    @property
    def views(self) -> float:
        """Forward passes of the trunk an image: q, k, with neighbours p_q, p_k, with mixing m, and crops."""
        return 2.0 + 2.0 * self.settings.neighbours + self._mixing + len(self.crops)

    @property
    def _mixing(self) -> bool:
        return self.settings.mix and not (self.settings.gate_mix and self.warming)

    def weighs_neighbours(self, epoch: int) -> bool:
        """Tell whether the warm-up is over, if neighbours are then given weight at all."""
        return self.pairs and self.settings.weights[1] > 0 and epoch >= self.settings.warmup_epochs

    def begin(self, epoch: int) -> None:
        """Neighbours count once the warm-up is over."""
        self.warming = epoch < self.settings.warmup_epochs

    def forward(self, views: list[Tensor]) -> dict[str, Tensor]:
        """One step's loss.

        Args:
            views: q, k of the anchor; with neighbours, p_q, p_k of the neighbour; then the anchor's small
                crops. Each [N, 3, H, W].
        """
        x_q, x_k, *others = views
        x_pq, x_pk, *x_crops = others if self.pairs else (None, None, *others)
        mixture = self._mixture(x_q, x_pq)

        x_m = mixture.pictures if mixture else None
        present = [x for x in (x_q, x_pq, x_m) if x is not None]
        encoded = iter(self.encoder.each([*present, *x_crops]))
        q = next(encoded)
        p_q = next(encoded) if x_pq is not None else None
        m = next(encoded) if mixture else None
        crops = [*encoded]
        keys = shuffled_keys(self.key_encoder, [x_k] if x_pk is None else [x_k, x_pk])  # of all processes
        all_k = keys[0]
        # Without neighbours, the partner is the picture before in the batch, here as in the mixture.
        all_p_k = [k.roll(1, 0) for k in all_k] if x_pk is None else keys[1]

        weights = OWN_ONLY if self.warming or not self.pairs else self.settings.weights
        losses, parts = [], {}
        for level, (stage, fifo) in enumerate(zip(self.encoder.levels, self.queues, strict=True)):
            assert isinstance(fifo, KeyQueue)
            queue, tau = fifo.keys.clone(), self.settings.temperature
            k, p_k = own_part(all_k[level]), own_part(all_p_k[level])
            terms = HsaTerms(
                own=pulled(q[level], k, p_k, queue, tau, weights),
                neighbour=pulled(p_q[level], p_k, k, queue, tau, weights) if p_q else None,
                mixed=pulled(m[level], k, p_k, queue, tau, (mixture.shares, 1 - mixture.shares))
                if m and mixture
                else None,
                crops=tuple(info_nce(crop[level], k, queue, tau) for crop in crops),
            )
            losses.append(self.level_weights[level] * terms.total)
            parts[f"loss/stage{stage}"] = terms.total
            parts |= {f"loss/stage{stage}/{name}": part for name, part in terms.parts.items()}
            fifo.enqueue(all_k[level])
        return {"loss": torch.stack(losses).sum(), **{name: part.detach() for name, part in parts.items()}}

    def after_step(self) -> None:
        """The key encoder follows."""
        follow(self.key_encoder, self.encoder, self.settings.ema)

    def _mixture(self, x_q: Tensor, x_pq: Tensor | None) -> Mixture | None:
        if not self._mixing:
            return None
        partner = own_part(gathered(x_q).roll(1, 0)) if x_pq is None else x_pq
        return cutmix(x_q, partner, self.settings.mix_alpha, self.settings.groups)

    @property
    def mining_trunk(self) -> nn.Module:
        """Whose features find neighbours."""
        return self.key_encoder.trunk
