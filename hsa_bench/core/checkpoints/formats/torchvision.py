"""ResNets as torchvision and timm save them: bare, or under `state_dict`, `model` or their EMA twins.

Recognised by `conv1.` and `layer1.0.` at the top of the keys; so are the published ResNets of DINO, Barlow
Twins and VICReg. Drops the classifier (`fc`). Cannot know the preprocessing, nor that a file came from
TensorFlow's SimCLR (`--format simclr-tf`): ImageNet's mean and deviation are assumed.
"""

from __future__ import annotations

from torch import Tensor

from hsa_bench.core.checkpoints.layout import (
    CLASSIFIERS,
    Converted,
    Payload,
    from_lightning,
    has,
    split,
    state_in,
)

NESTED = ("state_dict", "model", "state_dict_ema", "model_ema")
BRANCHES = {"model": "", "ema": ""}


def state_of(payload: Payload, branch: str) -> tuple[str, dict[str, Tensor]]:
    """Name of the entry and its tensors: the model's, or by `branch` those of its moving average."""
    if branch and branch not in BRANCHES:
        raise ValueError(f"--branch {branch}: there are {', '.join(BRANCHES)}")
    names = [name for name in NESTED if isinstance(payload.get(name), dict)]
    wanted = [name for name in names if not branch or name.endswith("ema") == (branch == "ema")]
    if not wanted and (names or branch == "ema"):
        raise ValueError(f"--branch {branch}: the file has {', '.join(names) or 'one network alone'}")
    inner = wanted[0] if wanted else ""
    return inner, state_in(payload, inner)


def matches(payload: Payload) -> bool:
    """Whether a ResNet's first tensors stand at the top, and the file is not another format's."""
    state = state_of(payload, "")[1]
    return (
        "format" not in payload
        and payload.get("author") != "MMSelfSup"
        and not from_lightning(payload)
        and has(state, "conv1.", "layer1.0.")
        and not has(state, "prototypes.")
    )


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take everything but the classifier."""
    inner, state = state_of(payload, branch)
    trunk, dropped = split(state, "", CLASSIFIERS)
    name = "ema" if inner.endswith("ema") else ("model" if branch else "")
    return Converted(trunk, dropped, name)
