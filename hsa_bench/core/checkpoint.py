"""Read a checkpoint, recognise its format, and load it completely or not at all."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from hsa_bench.core import registry
from hsa_bench.core.architectures import build
from hsa_bench.core.backbone import Backbone, weights_hash
from hsa_bench.core.formats import own
from hsa_bench.core.infer_arch import infer_arch
from hsa_bench.core.result import Coverage, Source

FORMATS = "hsa_bench.core.formats"


class CheckpointError(ValueError):
    """A file that is not loaded; the message says what was expected, what was found, and what to do."""


def load_checkpoint(path: Path, label: str, arch: str = "", file_format: str = "") -> Backbone:
    """Load a trunk from a file.

    Args:
        path: A `.pth`/`.pt`/`.tar`/`.ckpt` or `.safetensors` file.
        label: Name of the backbone in tables.
        arch: Architecture; if empty it is taken from the file or inferred from tensor shapes.
        file_format: One of the format files' names; if empty it is recognised.

    Raises:
        CheckpointError: Unreadable, of unknown format, or not matching the trunk tensor by tensor.
    """
    payload = read(path)
    form = _by_name(file_format) if file_format else recognise(payload, path)
    name = form.__name__.rsplit(".", 1)[1]
    try:
        found = form.convert(payload)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a {name} checkpoint ({error!r}); try another --format") from error
    try:
        chosen = arch or found.arch or infer_arch(found.state)
        module = build(chosen)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    coverage = _fill(module, found.state, f"{path}, read as {name} into {chosen}", found.dropped)
    return Backbone(
        label=label,
        arch=chosen,
        module=module.eval(),
        dim=module.dim,
        card=found.card,
        weights=weights_hash(module),
        source=Source(
            path=str(path), format=name, branch=found.branch, coverage=coverage, budget=found.budget
        ),
    )


def read(path: Path) -> Mapping[str, Any]:
    """Read a file without running anything in it.

    Raises:
        CheckpointError: Missing, not a checkpoint, or holding objects other than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
                return own.with_metadata(state, file.metadata() or {})
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0][:300]
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors and plain values ({reason}). "
            "Where you trust it, save its state_dict alone and pass that file"
        ) from error
    except Exception as error:
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error})") from error
    if not isinstance(payload, Mapping):
        raise CheckpointError(f"{path}: holds a {type(payload).__name__}, not a dict of tensors")
    return payload


def recognise(payload: Mapping[str, Any], path: Path) -> ModuleType:
    """The one format that matches.

    Raises:
        CheckpointError: None or several do.
    """
    forms = [_by_name(name) for name in registry.files(FORMATS)]
    found = [form for form in forms if form.matches(payload)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f.__name__.rsplit(".", 1)[1] for f in (found or forms))
    keys = ", ".join(list(map(str, payload))[:6])
    if found:
        raise CheckpointError(f"{path}: could be any of {names}; choose with --format")
    raise CheckpointError(f"{path}: no known format (its keys begin {keys}); known are {names}: see --format")


def _by_name(name: str) -> ModuleType:
    if name not in registry.files(FORMATS):
        raise CheckpointError(f"--format {name}: unknown; there are {', '.join(registry.files(FORMATS))}")
    return importlib.import_module(f"{FORMATS}.{name.replace('-', '_')}")


def _fill(module: nn.Module, state: Mapping[str, Tensor], what: str, dropped: tuple[str, ...]) -> Coverage:
    """Copy tensors in, if every one of them has its place and every place its tensor."""
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state]
    extra = [key for key in state if key not in wanted]
    shapes = [
        f"{key} {tuple(state[key].shape)} for {tuple(wanted[key].shape)}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    if missing or extra or shapes:
        matched = len(wanted) - len(missing) - len(shapes)
        raise CheckpointError(
            f"{what}: {matched} of {len(wanted)} trunk tensors match; nothing was loaded. "
            f"Missing: {_few(missing)}. Left over: {_few(extra)}. Wrong shape: {_few(shapes)}. "
            "Check --arch and --format"
        )
    module.load_state_dict(dict(state), strict=True)
    return Coverage(matched=len(wanted), total=len(wanted), dropped=dropped)


def _few(items: list[str]) -> str:
    shown = ", ".join(items[:4]) or "none"
    return shown if len(items) <= 4 else f"{shown} and {len(items) - 4} more"
