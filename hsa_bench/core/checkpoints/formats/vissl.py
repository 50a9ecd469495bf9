"""VISSL (facebookresearch/vissl, hooks/log_hooks.py:523-528, utils/checkpoint.py:950-989).

Recognised by `classy_state_dict`, or `_feature_blocks.` keys at the top, in `model_state_dict` or in
`state_dict`, with or without `base_model.` before them. Drops the heads. Cannot know the preprocessing
(VISSL also has `lab` and `bgr` inputs): ImageNet's is assumed. Files of type shard_list or slice_list only
point to others.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

BRANCHES = {"trunk": "_feature_blocks.", "base_model": "base_model._feature_blocks."}
POINTERS = ("shard_list", "slice_list")


def matches(payload: Payload) -> bool:
    """Whether it is VISSL's record, or has its name for a trunk's layers."""
    return "classy_state_dict" in payload or payload.get("type") in POINTERS or _is_trunk(_state(payload))


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the trunk."""
    if payload.get("type") in POINTERS:
        raise ValueError(
            f"a {payload['type']} only names the files that hold the tensors; pass a consolidated one"
        )
    return take(_state(payload), BRANCHES, branch, drop=("fc.",))


def _state(payload: Payload) -> dict[str, Tensor]:
    held = payload.get("classy_state_dict")
    for name in ("base_model", "model"):
        held = held.get(name) if isinstance(held, Mapping) else None
    return state_in(held, "trunk") if isinstance(held, Mapping) else _top(payload)


def _top(payload: Payload) -> dict[str, Tensor]:
    state = state_in(payload, "model_state_dict", "state_dict", "")
    if has(state, "trunk."):
        return {key.removeprefix("trunk."): value for key, value in state.items()}
    return state


def _is_trunk(state: Mapping[str, Tensor]) -> bool:
    return any(has(state, prefix) for prefix in BRANCHES.values())
