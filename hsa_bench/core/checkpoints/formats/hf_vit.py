"""ViTs of Hugging Face's transformers (`ViTModel`, `Dinov2Model` and their classifiers).

Recognised by `embeddings.patch_embeddings.projection`. Drops pooler, classifier and mask token; query, key
and value become one matrix, as in timm. Heads, the norm's epsilon and the input are read from `config.json`
and `preprocessor_config.json` beside the file; without them 64 channels a head, 1e-12 (ViT) or 1e-6
(DINOv2) and ImageNet's mean are assumed.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from hsa_bench.core.checkpoints.hf_card import card_beside, epsilon, whole_number
from hsa_bench.core.checkpoints.layout import Converted, Payload, split, state_in
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.vit_names import with_heads

BRANCHES: dict[str, str] = {}
NO_TRUNK = ("pooler.", "classifier.", "embeddings.mask_token", "decoder.", "lm_head.")

_NAMES = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^layernorm\.", "norm."),
    (r"^(?:encoder\.)?layers?\.(\d+)\.", r"blocks.\1."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.output\.dense\.|\.attention\.o_proj\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.weights_out\.", ".mlp.fc2."),
)
_PART = re.compile(r"^(blocks\.\d+)\.attention\.(?:attention\.)?(query|key|value|[qkv]_proj)\.(weight|bias)$")
_ORDER = {"query": 0, "key": 1, "value": 2, "q_proj": 0, "k_proj": 1, "v_proj": 2}


def matches(payload: Payload) -> bool:
    """Whether transformers' name for the patch embedding is there."""
    return any(key.endswith("embeddings.patch_embeddings.projection.weight") for key in state_in(payload, ""))


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the ViT, by timm's names."""
    state = {
        re.sub(r"^(vit|dinov2|dinov2_with_registers)\.", "", k): v for k, v in state_in(payload, "").items()
    }
    trunk, dropped = split(state, "", NO_TRUNK)
    named = _with_registers(_joined({_named(key): value for key, value in trunk.items()}))
    card, stated = card_beside(payload)
    return Converted(named, dropped, arch=_arch(payload, named), card=card, card_stated=stated)


def _named(key: str) -> str:
    for pattern, new in _NAMES:
        key = re.sub(pattern, new, key)
    return key


def _joined(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value of each block as one."""
    joined: dict[str, Tensor] = {}
    parts: dict[str, dict[int, Tensor]] = {}
    for key, value in state.items():
        if found := _PART.match(key):
            parts.setdefault(f"{found[1]}.attn.qkv.{found[3]}", {})[_ORDER[found[2]]] = value
        else:
            joined[key] = value
    for key, three in parts.items():
        if len(three) < 3 or len({tuple(part.shape) for part in three.values()}) > 1:
            raise ValueError(f"{key}: query, key and value are not all there, or unlike in shape")
        joined[key] = torch.cat([three[i] for i in range(3)])
    return joined


def _with_registers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As timm has it: the class token's position is added to it and leaves the embedding."""
    if not {"reg_token", "cls_token", "pos_embed"} <= set(state):
        return state
    token, position = state["cls_token"] + state["pos_embed"][:, :1], state["pos_embed"][:, 1:]
    return {**state, "cls_token": token, "pos_embed": position}


def _arch(payload: Payload, state: dict[str, Tensor]) -> str:
    arch = inferred(state)
    if not arch:
        return ""
    small = epsilon(payload, 1e-6 if "-ls" in arch else 1e-12) == 1e-12
    heads = whole_number(payload, "num_attention_heads")
    arch = with_heads(arch, heads) if heads else arch
    return f"{arch}-eps12" if small else arch
