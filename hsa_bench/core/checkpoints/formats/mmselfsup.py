"""MMSelfSup, full and extracted (open-mmlab/mmselfsup, tools/model_converters/extract_backbone_weights.py).

Recognised by `meta` beside a `state_dict` with `backbone.`, or by `author: MMSelfSup`. Keeps `backbone.`,
or by `--branch momentum` the average (`encoder_k.module.0`, `target_net.module.0`,
`momentum_encoder.module.0`); drops necks, heads and queues. ViTs get timm's names; their number of heads is
not in the file: MoCo v3's small one has 12 (`--arch vit_small_patch16_224-h12`).
"""

from __future__ import annotations

import re
from dataclasses import replace

from torch import Tensor

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, split, state_in, take

BRANCHES = {
    "backbone": "backbone.",
    "momentum": "encoder_k.module.0.",
    "target": "target_net.module.0.",
    "momentum_encoder": "momentum_encoder.module.0.",
}
AVERAGES = tuple(name for name in BRANCHES if name != "backbone")

_NAMES = (
    (r"^layers\.", "blocks."),
    (r"\.ln(\d)\.", r".norm\1."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^ln1\.", "norm."),
)


def matches(payload: Payload) -> bool:
    """Whether the file says so, or has the record of training that OpenMMLab's runners write."""
    if payload.get("author") == "MMSelfSup":
        return True
    return isinstance(payload.get("meta"), dict) and has(state_in(payload, "state_dict"), "backbone.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one backbone."""
    state = state_in(payload, "state_dict")
    if payload.get("author") == "MMSelfSup":
        if branch not in {"", "backbone"}:
            raise ValueError(f"--branch {branch}: an extracted file has the backbone alone")
        trunk, dropped = split(state, "", ("mask_token",))
        return Converted(_timm(trunk), dropped)
    if branch == "momentum":
        branch = next((name for name in AVERAGES if has(state, BRANCHES[name])), branch)
    found = take(state, BRANCHES, branch, drop=("fc.", "mask_token"))
    name = "momentum" if found.branch in AVERAGES else found.branch
    return replace(found, state=_timm(found.state), branch=name)


def _timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ViT's tensors by timm's names; a ResNet has torchvision's already."""
    if "patch_embed.projection.weight" not in state:
        return state
    named = {}
    for key, value in state.items():
        for pattern, name in _NAMES:
            key = re.sub(pattern, name, key)  # noqa: PLW2901 (renamed in steps)
        named[key] = value
    return named
