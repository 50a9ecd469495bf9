"""stable-pretraining (rbalestr-lab/stable-pretraining, backbone/utils.py: TeacherStudentWrapper).

Recognised by Lightning's record, `backbone.` and callbacks' own tensors. Keeps `backbone.`; of a pair the
teacher, which it evaluates, or the student by `--branch student`. Drops projectors and what callbacks keep.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted, Payload, from_lightning, has, state_in, take

BRANCHES = {"teacher": "backbone.teacher.", "student": "backbone.student.", "backbone": "backbone."}
CALLBACKS = ("callbacks_modules.", "callbacks_metrics.", "callbacks.")


def matches(payload: Payload) -> bool:
    """Whether Lightning wrote a backbone with a pair of networks, or with callbacks' tensors."""
    state = state_in(payload, "state_dict")
    pair = has(state, BRANCHES["teacher"], BRANCHES["student"])
    kept = any(key.startswith(CALLBACKS) for key in state)
    return from_lightning(payload) and has(state, "backbone.") and (pair or kept)


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one backbone."""
    return take(state_in(payload, "state_dict"), BRANCHES, branch)
