"""lightly: the benchmarks' checkpoints and the examples' (lightly-ai/lightly, benchmarks/imagenet/resnet50).

Recognised by Lightning's record, `backbone.` and `online_classifier.`; or, as in the examples, by a
`backbone` that is a row of a ResNet's children. Keeps `backbone.`, which for DINO is the teacher; `--branch
key`, `teacher` or `student` takes the other network where there is one. Drops heads.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import (
    Converted,
    Payload,
    from_lightning,
    from_sequential,
    has,
    state_in,
    take,
)

BRANCHES = {
    "backbone": "backbone.",
    "key": "key_backbone.",
    "teacher": "teacher_backbone.",
    "student": "student_backbone.",
    "momentum": "backbone_momentum.",
}


def matches(payload: Payload) -> bool:
    """Whether it is a benchmark's module, or a row of a ResNet's children."""
    state = state_in(payload, "state_dict", "")
    if has(state, "backbone.0.weight", "backbone.1.running_mean"):
        return True
    return from_lightning(payload) and has(state, "backbone.", "online_classifier.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one backbone."""
    found = take(state_in(payload, "state_dict", ""), BRANCHES, branch)
    if "0.weight" in found.state:
        return replace(found, state=from_sequential(found.state))
    return found
