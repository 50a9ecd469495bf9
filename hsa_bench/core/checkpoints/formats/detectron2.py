"""Detectron2's ResNets: a converted trunk (`.pkl`), or a detector's checkpoint (facebookresearch/detectron2).

Recognised by `stem.conv1.` and `res2.0.` in `model` or at the top, bare or under `backbone.` or
`backbone.bottom_up.`. Drops classifier, pyramid and heads. Cannot know the input: RGB with ImageNet's mean
and deviation is assumed, as for converted trunks; the MSRA models take `--card channels=BGR`, `--card
value_range=255`, `--card mean=123.675,116.28,103.53`, `--card std=1,1,1`.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.detectron2_names import to_torchvision
from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

BRANCHES = {"trunk": "", "backbone": "backbone.", "bottom_up": "backbone.bottom_up."}


def matches(payload: Payload) -> bool:
    """Whether Detectron2's names for stem and first stage are there."""
    return bool(_prefix(payload))


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the trunk, by torchvision's names."""
    name = _prefix(payload)
    if not name or branch not in {"", name}:
        raise ValueError(f"--branch {branch}: the file has {name or 'no stem.conv1 and res2.0'}")
    found = take(state_in(payload, "model", ""), {name: BRANCHES[name]}, name, drop=("stem.fc.", "linear."))
    return replace(found, state=to_torchvision(found.state))


def _prefix(payload: Payload) -> str:
    state = state_in(payload, "model", "")
    return next((name for name, p in BRANCHES.items() if has(state, f"{p}stem.conv1.", f"{p}res2.0.")), "")
