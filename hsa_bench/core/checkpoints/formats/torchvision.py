"""ResNets as torchvision and timm save them: bare, or under `state_dict`, `model` or their EMA twins.

Recognised by `conv1.` and `layer1.0.` at the top of the keys; so are the published ResNets of DINO, Barlow
Twins and VICReg. Drops the classifier (`fc`). Cannot know the preprocessing, nor that a file came from
TensorFlow's SimCLR (`--format simclr-tf`): ImageNet's mean and deviation are assumed.
"""

from __future__ import annotations

from torch import Tensor

from hsa_bench.core.checkpoints.layout import (
    CLASSIFIERS,
    Ambiguous,
    Converted,
    Payload,
    Reading,
    from_lightning,
    has,
    split,
    state_in,
    tensors,
)
from hsa_bench.core.checkpoints.match import COUNTER

NESTED = (
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "weights",
    "params",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "params_ema",
)
BRANCHES = {"model": "", "ema": ""}
IMAGENET_CLASSES = 1000


def state_of(payload: Payload, branch: str) -> tuple[str, dict[str, Tensor]]:
    """Name of the entry and its tensors: the model's, or by `branch` those of its moving average."""
    if branch and branch not in BRANCHES:
        raise ValueError(f"--branch {branch}: there are {', '.join(BRANCHES)}")
    names = [name for name in NESTED if isinstance(payload.get(name), dict) and tensors(payload[name])]
    wanted = [name for name in names if not branch or averaged(name) == (branch == "ema")]
    if not wanted and (names or branch == "ema"):
        raise ValueError(f"--branch {branch}: the file has {', '.join(names) or 'one network alone'}")
    inner = wanted[0] if wanted else ""
    return inner, state_in(payload, inner)


def of_two(payload: Payload, branch: str, inner: str) -> tuple[str, ...]:
    """What was taken for granted where a file has a network and its moving average."""
    both = any(averaged(name) for name in payload if name in NESTED) and inner and not averaged(inner)
    return ("the network, not its moving average (--branch ema)",) if both and not branch else ()


def averaged(name: str) -> bool:
    """Whether an entry is called a moving average."""
    return "ema" in name.split("_")


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


def ambiguity(payload: Payload) -> Ambiguous | None:
    """A classifier of ImageNet in a file that torch did not train: torchvision's, or Google's SimCLR?

    torch counts batches; converters from TensorFlow leave the counters at 0 beside statistics that moved.
    """
    state = state_of(payload, "")[1]
    counters = [value for key, value in state.items() if key.endswith(COUNTER)]
    classes = state.get("fc.weight")
    if set(payload) != {"state_dict"} or not counters or classes is None or len(classes) != IMAGENET_CLASSES:
        return None
    if any(bool(value.any()) for value in counters) or not bool(state["bn1.running_mean"].any()):
        return None
    return Ambiguous(
        "a ResNet by torchvision's names that was not trained by torch (its counters are 0)",
        (
            Reading("--format torchvision", "ImageNet's mean and deviation"),
            Reading("--format simclr-tf", "pixels in [0, 1] and TensorFlow's pooling, as Google's SimCLR"),
        ),
        frozenset({"mean", "std", "arch"}),
    )


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take everything but the classifier."""
    inner, state = state_of(payload, branch)
    trunk, dropped = split(state, "", CLASSIFIERS)
    name = "ema" if averaged(inner) else ("model" if branch else "")
    return Converted(trunk, dropped, name, assumed=of_two(payload, branch, inner))
