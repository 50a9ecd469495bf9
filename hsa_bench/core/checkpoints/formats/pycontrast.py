"""PyContrast: InstDis, MoCo, PIRL, InfoMin (HobbitLong/PyContrast, learning/contrast_trainer.py:107-124).

Recognised by `encoder.` and `head.` in `model`, with `contrast` beside it. Keeps the model, or its momentum
average by `--branch ema`; drops heads. CMC's two encoders take one and two channels and are refused.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

BRANCHES = {"model": "model", "ema": "model_ema"}


def matches(payload: Payload) -> bool:
    """Whether an encoder stands in `model` and the memory beside it."""
    state = state_in(payload, "model")
    return "contrast" in payload and (has(state, "encoder.") or has(state, "encoder1."))


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one encoder."""
    name = branch or "model"
    state = state_in(payload, BRANCHES.get(name, ""))
    if name not in BRANCHES or not state:
        raise ValueError(f"--branch {name}: not in this file; there are {', '.join(BRANCHES)}")
    if has(state, "encoder1."):
        raise ValueError("CMC's encoders see lightness and colour apart; no single one takes a picture")
    return replace(take(state, {name: "encoder."}, name), branch=name)
