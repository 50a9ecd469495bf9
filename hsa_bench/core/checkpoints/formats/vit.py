"""ViTs by timm's names: timm's, DeiT's, MAE's, DINO's published; bare, or in `state_dict`, `model`, EMA.

Recognised by `patch_embed.proj` and `blocks.0.` at the top. Drops classifiers, MAE's decoder and mask
token. Cannot know the attention heads (64 channels each are assumed; MoCo v3's small ViT has 12 of 32), nor
the tokens to pool (the class token is taken), nor mean and deviation (ImageNet's; Google's ViTs have 0.5).
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.formats.torchvision import BRANCHES, averaged, of_two, state_of
from hsa_bench.core.checkpoints.layout import CLASSIFIERS, Converted, Payload, from_lightning, has, split

__all__ = ["BRANCHES", "convert", "matches"]

NO_TRUNK = (*CLASSIFIERS, "decoder_", "mask_token")


def matches(payload: Payload) -> bool:
    """Whether a ViT's first tensors stand at the top, and it is not DINOv2's own."""
    state = state_of(payload, "")[1]
    own = "mask_token" in state and any(key.endswith("ls1.gamma") for key in state)
    trunk = has(state, "patch_embed.proj.", "blocks.0.")
    return trunk and not own and not from_lightning(payload) and payload.get("author") != "MMSelfSup"


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take everything but classifier and decoder."""
    inner, state = state_of(payload, branch)
    trunk, dropped = split(state, "", NO_TRUNK)
    averages = "fc_norm.weight" in trunk and "norm.weight" not in trunk
    token = "the class token as feature" if not averages else "the patches' mean as feature, as MAE's tuning"
    assumed = ("attention heads of 64 channels", token, *of_two(payload, branch, inner))
    return Converted(trunk, dropped, "ema" if averaged(inner) else "", assumed=assumed)
