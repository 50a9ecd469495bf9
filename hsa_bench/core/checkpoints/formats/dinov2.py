"""DINOv2, published ViTs and a training's teacher (facebookresearch/dinov2, dinov2/train/train.py:123-131).

Recognised by LayerScale with a `mask_token`, at the top or in `teacher` under `backbone.`. Drops the mask
token and the heads `dino_head`, `ibot_head`. With registers the class token's position is added to it and
taken out of the embedding, as timm has it: the same network; without, other sizes resample positions as its
code does (`-dinopos`). Cannot know the tokens for a task: class token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, split, state_in
from hsa_bench.core.models.infer_arch import inferred

BRANCHES: dict[str, str] = {}
NO_TRUNK = ("mask_token", "head.", "dino_head.", "ibot_head.")


def matches(payload: Payload) -> bool:
    """Whether there is a ViT with a mask token and LayerScale, and no student."""
    state = _state(payload)
    return "student" not in payload and "mask_token" in state and any(k.endswith("ls1.gamma") for k in state)


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the backbone, by timm's names."""
    inner = state_in(payload, "teacher")
    dropped = tuple(key for key in inner if not key.startswith("backbone."))
    trunk, more = split(_state(payload), "", NO_TRUNK)
    named = _named(trunk)
    arch = inferred(named)
    arch = arch if "reg_token" in named or not arch else f"{arch}-dinopos"
    return Converted(named, (*dropped, *more), "teacher" if inner else "", arch)


def _state(payload: Payload) -> dict[str, Tensor]:
    inner = state_in(payload, "teacher")
    if has(inner, "backbone."):
        return split(inner, "backbone.", ())[0]
    return inner or state_in(payload, "model", "state_dict", "")


def _named(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Blocks in a row (training keeps them in chunks), registers and SwiGLU by timm's names."""
    named = {}
    for key, value in state.items():
        name = re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", key)
        name = re.sub(r"\.mlp\.w12\.", ".mlp.fc1.", re.sub(r"\.mlp\.w3\.", ".mlp.fc2.", name))
        named[name] = value
    if len(named) < len(state):
        raise ValueError("has a block twice, in chunks and in a row")
    if "register_tokens" in named and "cls_token" in named and "pos_embed" in named:
        named["reg_token"] = named.pop("register_tokens")
        named["cls_token"] = named["cls_token"] + named["pos_embed"][:, :1]
        named["pos_embed"] = named["pos_embed"][:, 1:]
    return named
