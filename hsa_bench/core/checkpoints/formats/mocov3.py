"""MoCo v3, ResNet or ViT (facebookresearch/moco-v3, main_moco.py:310-316, moco/builder.py:105-122).

Recognised by `base_encoder.` and `momentum_encoder.`. Keeps the base encoder, or the momentum encoder by
`--branch momentum`; drops heads and predictor. Its small ViT has 12 heads, which no shape shows
(vits.py:117): the format says so. Cannot know a ViT exported as `{model: …}` from timm's, which has 6:
`--arch vit_small_patch16_224-h12`.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.vit_names import is_vit, with_heads

BRANCHES = {"base": "base_encoder.", "momentum": "momentum_encoder."}
HEADS = 12
"""Of its small and its base ViT alike."""


def matches(payload: Payload) -> bool:
    """Whether there are a base and a momentum encoder."""
    return has(state_in(payload, "state_dict"), *BRANCHES.values())


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one encoder, without its head."""
    found = take(state_in(payload, "state_dict"), BRANCHES, branch, drop=("fc.", "head."))
    arch = inferred(found.state)
    return replace(found, arch=with_heads(arch, HEADS)) if is_vit(arch) else found
