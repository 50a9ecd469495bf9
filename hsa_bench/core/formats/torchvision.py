"""ResNets as torchvision and timm save them: bare, or under `state_dict`, `model` or their EMA twins.

Recognised by `conv1.` and `layer1.0.` at the top of the keys. Drops the classifier (`fc`). Cannot know the
preprocessing: ImageNet's mean and standard deviation are assumed.
"""

from __future__ import annotations

from torch import Tensor

from hsa_bench.core.converted import CLASSIFIERS, Converted, Payload, split, unwrapped

NESTED = ("state_dict", "model", "state_dict_ema", "model_ema")


def _state(payload: Payload) -> tuple[str, dict[str, Tensor]]:
    inner = next((name for name in NESTED if isinstance(payload.get(name), dict)), "")
    state = payload[inner] if inner else payload
    return inner, unwrapped({k: v for k, v in state.items() if isinstance(v, Tensor)})


def matches(payload: Payload) -> bool:
    """Whether a ResNet's first tensors stand at the top, and the file is not this suite's own."""
    keys = _state(payload)[1]
    return (
        "format" not in payload
        and any(key.startswith("conv1.") for key in keys)
        and any(key.startswith("layer1.0.") for key in keys)
    )


def convert(payload: Payload) -> Converted:
    """Take everything but the classifier."""
    inner, state = _state(payload)
    trunk, dropped = split(state, "", drop=CLASSIFIERS)
    return Converted(state=trunk, dropped=dropped, branch="ema" if inner.endswith("ema") else "")
