"""DINO's training checkpoints, ViT or ResNet (facebookresearch/dino, main_dino.py:278-287).

Recognised by `student` and `teacher`. Keeps the teacher, which DINO evaluates, or the student by `--branch
student`; drops `head`. Its published backbones have the trunk alone: formats `vit` and `torchvision`.
Cannot know which tokens are best: the class token is taken, as DINO's kNN does.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.vit_names import is_vit

BRANCHES = {"teacher": "teacher", "student": "student"}


def matches(payload: Payload) -> bool:
    """Whether there are a student and a teacher with a backbone."""
    return all(has(state_in(payload, name), "backbone.") for name in BRANCHES)


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one network's backbone."""
    name = branch or "teacher"
    if name not in BRANCHES:
        raise ValueError(f"--branch {branch}: there are {', '.join(BRANCHES)}")
    found = take(state_in(payload, name), {name: "backbone."}, name, drop=("head.", "fc."))
    other = next(b for b in BRANCHES if b != name)
    dropped = (*found.dropped, *(f"{other}.{key}" for key in state_in(payload, other)))
    arch = inferred(found.state)
    return replace(found, dropped=dropped, arch=f"{arch}-dinopos" if is_vit(arch) else arch)
