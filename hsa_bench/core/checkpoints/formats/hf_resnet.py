"""ResNets of Hugging Face's transformers (`ResNetModel`, `ResNetForImageClassification`).

Recognised by `embedder.embedder.convolution`. Drops the classifier. The same network by torchvision's
names; `preprocessor_config.json` beside the file gives mean and deviation, else ImageNet's are assumed.
"""

from __future__ import annotations

import re

from hsa_bench.core.checkpoints.hf_card import card_beside
from hsa_bench.core.checkpoints.layout import Converted, Payload, split, state_in

BRANCHES: dict[str, str] = {}
_NAMES = (
    (r"^(?:resnet\.)?embedder\.embedder\.convolution\.", "conv1."),
    (r"^(?:resnet\.)?embedder\.embedder\.normalization\.", "bn1."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
)
_STAGE = re.compile(r"^(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.")
_LAYER = re.compile(r"\.layer\.(\d+)\.(convolution|normalization)\.")


def matches(payload: Payload) -> bool:
    """Whether transformers' name for the stem is there."""
    return any(key.endswith("embedder.embedder.convolution.weight") for key in state_in(payload, ""))


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the ResNet."""
    trunk, dropped = split(state_in(payload, ""), "", ("classifier.",))
    card, stated = card_beside(payload)
    named = {_named(key): value for key, value in trunk.items()}
    return Converted(named, dropped, card=card, card_stated=stated)


def _named(key: str) -> str:
    name = _STAGE.sub(lambda m: f"layer{int(m[1]) + 1}.{m[2]}.", key)
    name = _LAYER.sub(lambda m: f".{'conv' if m[2] == 'convolution' else 'bn'}{int(m[1]) + 1}.", name)
    for pattern, new in _NAMES:
        name = re.sub(pattern, new, name)
    return name
