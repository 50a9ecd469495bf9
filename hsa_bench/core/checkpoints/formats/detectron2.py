"""Detectron2's ResNets: a converted trunk (`.pkl`), or a detector's checkpoint (facebookresearch/detectron2).

Recognised by `stem.conv1.` and `res2.0.` in `model` or at the top, bare or under `backbone.` or
`backbone.bottom_up.`. Drops classifier, pyramid and heads. Converted trunks (`matching_heuristics`)
take RGB by ImageNet's mean and deviation; what a detector was given stands in its `pixel_mean` and
`pixel_std` where it has them. Otherwise it may as well be Detectron2's usual BGR, and the user says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from hsa_bench.core.checkpoints.detectron2_names import to_torchvision
from hsa_bench.core.checkpoints.layout import Ambiguous, Converted, Payload, Reading, has, state_in, take
from hsa_bench.core.models.preprocess import CAFFE, IMAGENET, Preprocess

BRANCHES = {"trunk": "", "backbone": "backbone.", "bottom_up": "backbone.bottom_up."}
DETECTRON2 = {"Detectron2 Model Zoo", "Caffe2", "MSRA", "FAIR"}
"""Authors of its own files, whose networks take BGR."""
BGR = "--card channels=BGR --card value_range=255 --card mean=123.675,116.28,103.53 --card std=1,1,1"


def matches(payload: Payload) -> bool:
    """Whether Detectron2's names for stem and first stage are there."""
    return bool(_prefix(payload))


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the trunk, by torchvision's names."""
    name = _prefix(payload)
    if not name or branch not in {"", name}:
        raise ValueError(f"--branch {branch}: the file has {name or 'no stem.conv1 and res2.0'}")
    found = take(state_in(payload, "model", ""), {name: BRANCHES[name]}, name, drop=("stem.fc.", "linear."))
    card = _saved_card(state_in(payload, "model", ""))
    return replace(
        found, state=to_torchvision(found.state), card=card or IMAGENET, card_stated=card is not None
    )


def ambiguity(payload: Payload) -> Ambiguous | None:
    """Tell whether nothing tells RGB by ImageNet's mean from Detectron2's usual BGR of 0 to 255."""
    author = payload.get("__author__")
    converted = "matching_heuristics" in payload and str(author) not in DETECTRON2
    if converted or _saved_card(state_in(payload, "model", "")):
        return None
    return Ambiguous(
        "Detectron2's names, and nothing that says what pictures it was given",
        (
            Reading("--card channels=RGB", "RGB by ImageNet's mean and deviation, as converted trunks take"),
            Reading(BGR, "BGR from 0 to 255 less the mean, as Detectron2's own detectors and MSRA's ResNets"),
        ),
        frozenset({"channels"}),
    )


def _saved_card(state: Mapping[str, Tensor]) -> Preprocess | None:
    """The card that a detector keeps of its input, if it is one of the two usual ones."""
    mean, std = (state.get(f"pixel_{name}") for name in ("mean", "std"))
    if mean is None or std is None or mean.numel() != 3 or std.numel() != 3:
        return None
    held = [*mean.flatten().tolist(), *std.flatten().tolist()]
    if all(abs(a - b) < 0.01 for a, b in zip(held, (103.53, 116.28, 123.675, 1, 1, 1), strict=True)):
        return CAFFE
    imagenet = [255 * value for value in (*IMAGENET.mean, *IMAGENET.std)]
    return IMAGENET if all(abs(a - b) < 0.01 for a, b in zip(held, imagenet, strict=True)) else None


def _prefix(payload: Payload) -> str:
    state = state_in(payload, "model", "")
    return next((name for name, p in BRANCHES.items() if has(state, f"{p}stem.conv1.", f"{p}res2.0.")), "")
