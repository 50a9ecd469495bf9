"""What a training takes over from the whole state of another, also of another method, part by part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hsa_bench.core.errors import PretrainingError
from pretrain.contrastive import Contrastive
from pretrain.kept_state import VELOCITY, KeptState, by_place, place

TRUNK, KEYS, QUERIES = "encoder.trunk", "key_encoder.", "encoder."

REMEDIES = ((".trunk", "arch"), (".heads", "dim, head_layers and head_bn"), ("queues", "queue and dim"))
"""By what stands in a part's name: the settings that give its tensors their shapes."""

MOST_SAID = 20
"""Parts of one kind that are named."""

Parts = dict[str, dict[str, Tensor]]
"""Tensors by part and by their names in it."""


@dataclass(frozen=True)
class CarriedOver:
    """Which parts of a training come from a start."""

    taken: tuple[str, ...]
    new: tuple[str, ...]
    """Parts that the start has not; they begin as in any training."""
    left: tuple[str, ...]
    """Parts that this training has not."""
    copied: tuple[str, ...]
    """Parts of the key encoder that are copies of the encoder's, as the start has none."""
    momentum: bool
    """Whether the optimiser goes on with the momentum of what was taken."""

    @property
    def in_words(self) -> str:
        """List them, e.g. "taken: encoder.trunk, momentum; new: queues.stage4"."""
        taken = (*self.taken, *(["momentum"] if self.momentum else []))
        new = (*self.new, *([] if self.momentum else ["momentum"]))
        said = {"taken": taken, "copied from the encoder": self.copied, "new": new, "left out": self.left}
        return "; ".join(f"{word}: {_listed(parts)}" for word, parts in said.items() if parts)


def carry_over(state: KeptState, method: Contrastive, optimiser: Any = None, name: str = "") -> CarriedOver:
    """Take what a training has in common with a start: whole parts, by name and shape.

    Args:
        state: The start.
        method: Of the new training, as built; its tensors are written over.
        optimiser: Of the new training, torch's or Fabric's wrapper; None to leave momentum alone.
        name: Of the optimiser, as the settings have it.

    Raises:
        PretrainingError: A part that both have is not of the same shapes; the message names it.
    """
    theirs, ours = _parts(state.tensors), _parts(by_place(method))
    if TRUNK not in theirs:
        raise PretrainingError(f"has no {TRUNK}: is the state of no training of ours")
    taken = [part for part in ours if part in theirs]
    for part in taken:
        _check_alike(part, theirs[part], ours[part])
    copied = [
        p for p in ours if p not in theirs and p.startswith(KEYS) and p.replace(KEYS, QUERIES, 1) in taken
    ]
    with torch.no_grad():
        for part in taken:
            _copy(theirs[part], ours[part])
        for part in copied:
            _copy(ours[part.replace(KEYS, QUERIES, 1)], ours[part])
    same = name == state.optimiser and bool(state.momentum)
    if optimiser is not None and same:
        _go_on(state.momentum, method, optimiser, VELOCITY[name])
    return CarriedOver(
        taken=tuple(taken),
        new=tuple(part for part in ours if part not in theirs and part not in copied),
        left=tuple(part for part in theirs if part not in ours),
        copied=tuple(copied),
        momentum=same,
    )


def _listed(parts: Sequence[str]) -> str:
    """Name them, the first few where there are many."""
    more = len(parts) - MOST_SAID
    return ", ".join(parts[:MOST_SAID]) + (f" and {more:,} more" if more > 0 else "")


def _parts(tensors: Mapping[str, Tensor]) -> Parts:
    """Group tensors: `encoder.trunk`, `encoder.heads.stage4`, `queues.stage4`, or as a name begins."""
    found: Parts = {}
    for name, tensor in tensors.items():
        match = re.match(r"(\w+\.heads\.\w+|\w+\.trunk|queues\.\w+|\w+)(?:\.(.*))?$", name)
        part, rest = (match[1], match[2] or "") if match else (name, "")
        found.setdefault(part, {})[rest] = tensor
    return found


def _check_alike(part: str, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
    """Refuse a part whose tensors have not the names, shapes and kinds of numbers of this training's."""
    for name in dict.fromkeys([*ours, *theirs]):
        there, here = (_form(tensors.get(name)) for tensors in (theirs, ours))
        if there != here:
            settings = next((said for end, said in REMEDIES if end in part), "what decides its form")
            raise PretrainingError(
                f"{part} does not fit: its {name or 'tensor'} is {there} in the file and {here} in this "
                f"training; choose {settings} as the start had it"
            )


def _form(tensor: Tensor | None) -> str:
    """Say a tensor's shape, and its numbers' type where it has no point: "16 x 20", "one number, int64"."""
    if tensor is None:
        return "missing"
    shape = " x ".join(map(str, tensor.shape)) or "one number"
    return shape if tensor.is_floating_point() else f"{shape}, {str(tensor.dtype).removeprefix('torch.')}"


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])


def _go_on(momentum: Mapping[str, Tensor], method: Contrastive, optimiser: Any, called: str) -> None:
    """Give each parameter the momentum of its place; zero where there is none, which is to begin anew."""
    for parameter, velocity in _velocities(momentum, method):
        optimiser.state[parameter][called] = velocity


def _velocities(momentum: Mapping[str, Tensor], method: Contrastive) -> Iterable[tuple[nn.Parameter, Tensor]]:
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            velocity = torch.zeros_like(parameter)  # which lies in memory as the parameter does
            found = momentum.get(at := place(name, method.encoder.levels))
            if found is not None:
                _check_alike(at, {"momentum": found}, {"momentum": velocity})
                velocity.copy_(found)
            yield parameter, velocity
