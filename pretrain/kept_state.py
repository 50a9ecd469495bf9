"""The whole state of a training, kept beside its checkpoint: encoders, heads, queues and optimiser.

Its file is the exported checkpoint with a field more, so that it says where it came from and can be measured
like any other. Tensors stand under the stage they belong to, so that a method finds what it has in common
with another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hsa_bench.core.checkpoints.formats import own
from hsa_bench.core.checkpoints.layout import Payload
from hsa_bench.core.checkpoints.load import read
from hsa_bench.core.errors import PretrainingError
from pretrain.contrastive import Contrastive
from pretrain.encoder import LAST

FIELD = "whole_state"
"""Of the checkpoint, that the exported one has not."""

VELOCITY = {"sgd": "momentum_buffer", "lars": "velocity"}
"""By optimiser: what it calls the momentum of a weight."""

KINDS = frozenset(
    {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64, torch.bool}
)
"""Of numbers that a training holds."""

LONGEST_NAME = 200


@dataclass(frozen=True)
class KeptState:
    """Tensors by place: `encoder.trunk.…`, `encoder.heads.stage4.…`, `key_encoder.…`, `queues.stage4.…`."""

    tensors: Mapping[str, Tensor]
    """Parameters and buffers of the method."""
    momentum: Mapping[str, Tensor]
    """Of the optimiser, by the parameter's place."""
    optimiser: str
    """Whose momentum it is."""
    arch: str = ""
    """Architecture of the encoders, as the file states it."""

    @property
    def hash(self) -> str:
        """SHA-256 over places, types, shapes and bytes of all tensors, and the optimiser's name."""
        total = hashlib.sha256(f"{self.optimiser};".encode())
        for kind, tensors in (("method", self.tensors), ("momentum", self.momentum)):
            for place, tensor in sorted(tensors.items()):
                host = tensor.detach().cpu().contiguous()
                total.update(f"{kind}:{place}:{host.dtype}:{tuple(host.shape)};".encode())
                total.update(host.reshape(-1).view(torch.uint8).numpy().tobytes())
        return total.hexdigest()


def state_path(path: Path) -> Path:
    """Name the file of the whole state beside a checkpoint: hsa.pth, hsa.state.pth."""
    plain = path.suffix in {".pth", ".pt"}
    return path.with_name(f"{path.stem if plain else path.name}.state{path.suffix if plain else '.pth'}")


def place(name: str, levels: tuple[int, ...]) -> str:
    """Name the place of a method's tensor by its stage, which its number among the levels does not tell.

    Args:
        name: As the method has it: `encoder.heads.1.0.weight`, `queues.1.keys`, `queue.keys`.
        levels: Stages of the method's heads, in their order.
    """
    parts = name.split(".")
    if parts[0] == "queue":  # the last stage's, where there is one alone
        return ".".join(["queues", f"stage{LAST}", *parts[1:]])
    at = 1 if parts[0] == "queues" else 2 if parts[1:2] == ["heads"] else 0
    if at and at < len(parts) and parts[at].isdigit() and int(parts[at]) < len(levels):
        parts[at] = f"stage{levels[int(parts[at])]}"
    return ".".join(parts)


def by_place(method: Contrastive) -> dict[str, Tensor]:
    """Return all parameters and buffers of a method by their places; they are the method's own."""
    return {place(name, method.encoder.levels): tensor for name, tensor in method.state_dict().items()}


def state_of(method: Contrastive, optimiser: Any, name: str) -> KeptState:
    """Return the state of a training, on the CPU.

    Args:
        method: In training.
        optimiser: Torch's, or Fabric's wrapper of one.
        name: Of the optimiser, as the settings have it.
    """
    momentum = {
        place(n, method.encoder.levels): found
        for n, parameter in method.named_parameters()
        if (found := optimiser.state.get(parameter, {}).get(VELOCITY[name])) is not None
    }
    return KeptState(_on_cpu(by_place(method)), _on_cpu(momentum), name)


def as_field(state: KeptState) -> dict[str, Any]:
    """Return a state as its file has it: tensors and plain values."""
    return {
        "tensors": dict(state.tensors),
        "momentum": dict(state.momentum),
        "optimiser": state.optimiser,
    }


def read_state_file(path: Path) -> KeptState:
    """Read the whole state of a training; nothing in the file is run.

    Raises:
        CheckpointError: Missing, damaged, or holding more than tensors and plain values.
        PretrainingError: It is a file of another kind, or one of its fields is wrong.
    """
    held = read(path)
    if FIELD not in held:
        what = (
            "a checkpoint with its trunk alone"
            if own.matches(Payload(held))
            else "no state of a training of ours"
        )
        raise PretrainingError(
            f"{path}: is {what}; a whole state is what keep_state leaves beside the checkpoint, as "
            "NAME.state.pth; to start from weights alone, use init"
        )
    field = held[FIELD] if isinstance(held[FIELD], Mapping) else {}
    for name in ("tensors", "momentum"):
        _check(path, name, field.get(name))
    if field.get("optimiser") not in [*VELOCITY]:  # which may be of any kind, and need not have a hash
        raise PretrainingError(f"{path}: field {FIELD}.optimiser: is none of {', '.join(VELOCITY)}")
    return KeptState(field["tensors"], field["momentum"], field["optimiser"], _arch(held))


def stated_arch(path: Path) -> str:
    """Return the architecture that a checkpoint of ours states; empty for any other file."""
    return _arch(read(path))


def _arch(held: Mapping[str, Any]) -> str:
    stated = held.get("arch")
    return stated if own.matches(Payload(held)) and isinstance(stated, str) else ""


def _check(path: Path, name: str, tensors: Any) -> None:
    """Refuse what is no mapping of names to tensors as a training holds them, in memory and finite."""
    named = isinstance(tensors, Mapping) and all(map(_is_name, tensors))
    if not named or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise PretrainingError(f"{path}: field {FIELD}.{name}: is no mapping of names to tensors")
    for at, tensor in tensors.items():
        if odd := _oddity(tensor):
            raise PretrainingError(f"{path}: field {FIELD}.{name}: {at} is {odd}, as no training leaves it")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise PretrainingError(
                f"{path}: {at} holds NaN or infinity: the training diverged, or the file is damaged"
            )
        if at.endswith("running_var") and (tensor < 0).any():
            raise PretrainingError(
                f"{path}: {at} holds variances below 0: its tensors are exchanged, or damaged"
            )


def _is_name(name: Any) -> bool:
    """Tell whether it is a tensor's name, which messages and records may show as it is."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and bool(re.fullmatch(rf"[^:;]{{1,{LONGEST_NAME}}}", name))
    )


def _oddity(tensor: Tensor) -> str:
    """Say what keeps a tensor from being compared and copied; empty where nothing does."""
    if tensor.layout is not torch.strided or tensor.is_nested:
        return "sparse or nested"
    if tensor.device.type != "cpu":
        return f"of the device {tensor.device.type}"
    return "" if tensor.dtype in KINDS else f"of the type {tensor.dtype}"


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in tensors.items()}
