"""HSA's loss: several positives an anchor, and a mixed query (arXiv:2012.02733; code: haohang96/CSML)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.losses.info_nce import info_nce, weighted_info_nce

Weight = float | Tensor
"""Of a term: one for all queries, or one for each, [N]."""


@dataclass(frozen=True)
class HsaTerms:
    """The parts, each a scalar in nats; a part that is switched off is absent."""

    own: Tensor
    """L_q: the anchor against its own and its neighbour's key."""
    neighbour: Tensor | None = None
    """L_p: the neighbour against its own and the anchor's key."""
    mixed: Tensor | None = None
    """L_mix: the mixture of both against both keys, in proportion."""
    crops: tuple[Tensor, ...] = ()
    """Each small crop of the anchor against its key."""

    @property
    def parts(self) -> dict[str, Tensor]:
        """The parts present, by name."""
        named = {"own": self.own, "neighbour": self.neighbour, "mixed": self.mixed}
        named |= {f"crop{i}": crop for i, crop in enumerate(self.crops, start=1)}
        return {name: part for name, part in named.items() if part is not None}

    @property
    def total(self) -> Tensor:
        """Mean of the parts present: with four crops, these weigh 4/7.

        The authors' branch mc has (full view + sum of four crops) / 2, where they weigh 4/5, and neither
        neighbours nor mixing (haohang96/moco_group_ShuffleBN main_moco.py:303-310 @c6ada30).
        """
        return torch.stack(list(self.parts.values())).mean()


def pulled(
    u: Tensor,
    first: Tensor,
    second: Tensor,
    queue: Tensor,
    temperature: float,
    weights: tuple[Weight, Weight],
) -> Tensor:
    """One query, two positives: separate softmaxes, each over one positive and the queue.

    The other positive is in no denominator (CSML, MulposCrossEntropy). A weight of zero for all drops its
    term, so that a random network's neighbours cost nothing during warm-up.

    Args:
        u: Queries, [N, C], unit length.
        first: Keys, [N, C].
        second: Keys, [N, C].
        queue: Keys of earlier batches, [C, K].
        temperature: Of the softmax.
        weights: Of the first and the second key's term. Those of each query are averaged over queries, which
            with one weight for each GPU's is the mean over GPUs of a mean over theirs, as CSML has it.
    """
    terms = [
        _weighted(u, v, queue, temperature, w)
        for w, v in zip(weights, (first, second), strict=True)
        if isinstance(w, Tensor) or w
    ]
    return sum(terms[1:], start=terms[0])


def _weighted(u: Tensor, v: Tensor, queue: Tensor, temperature: float, weight: Weight) -> Tensor:
    if isinstance(weight, Tensor):
        return weighted_info_nce(u, v, queue, temperature, weight)
    return weight * info_nce(u, v, queue, temperature)


def hsa_loss(  # noqa: PLR0913, PLR0917 (the views and weights of one step)
    q: Tensor,
    p_q: Tensor,
    m: Tensor,
    k: Tensor,
    p_k: Tensor,
    queue: Tensor,
    temperature: float,
    weights: tuple[float, float],
    mix: Weight,
) -> Tensor:
    """(L_q + L_p + L_mix) / 3.

    Args:
        q: Anchor queries, [N, C]; this and all others of unit length.
        p_q: Their neighbours' queries, [N, C].
        m: Queries of CutMix(anchor, neighbour), [N, C].
        k: Anchor keys, [N, C]; no gradient.
        p_k: Their neighbours' keys, [N, C]; no gradient.
        queue: Keys of earlier batches, [C, K].
        temperature: Of the softmax; the code uses 0.2.
        weights: (own, neighbour): (1, 0) during warm-up, (0.5, 0.5) after.
        mix: Share of the anchor in the mixture, in [0, 1], or in each mixture, [N].

    Returns:
        The loss averaged over anchors, in nats.
    """
    return HsaTerms(
        own=pulled(q, k, p_k, queue, temperature, weights),
        neighbour=pulled(p_q, p_k, k, queue, temperature, weights),
        mixed=pulled(m, k, p_k, queue, temperature, (mix, 1 - mix)),
    ).total
