"""Vision transformers by torchvision's names (torchvision/models/vision_transformer.py).

Recognised by `conv_proj.` and `encoder.layers.encoder_layer_0.`. Drops `heads`. The same network by timm's
names. Cannot know the attention heads: 64 channels each, as in all of torchvision's but the huge one.
"""

from __future__ import annotations

import re

from torch import Tensor

from hsa_bench.core.checkpoints.formats.torchvision import BRANCHES, of_two, state_of
from hsa_bench.core.checkpoints.layout import Converted, Payload, has, split

__all__ = ["BRANCHES", "convert", "matches"]

_NAMES = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(?:0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(?:3|linear_2)\.", ".mlp.fc2."),
)


def matches(payload: Payload) -> bool:
    """Whether torchvision's names for a patch embedding and a first block are there."""
    return has(state_of(payload, "")[1], "conv_proj.", "encoder.layers.encoder_layer_0.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take everything but the classifier."""
    inner, state = state_of(payload, branch)
    trunk, dropped = split(state, "", ("heads.",))
    named: dict[str, Tensor] = {}
    for key, value in trunk.items():
        name = key
        for pattern, new in _NAMES:
            name = re.sub(pattern, new, name)
        named[name] = value
    assumed = (
        "attention heads of 64 channels",
        "the class token as feature",
        *of_two(payload, branch, inner),
    )
    return Converted(named, dropped, assumed=assumed)
