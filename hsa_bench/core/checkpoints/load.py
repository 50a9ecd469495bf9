"""Read a checkpoint, recognise its format, and load it completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hsa_bench.core.checkpoints.choose_arch import choose_arch
from hsa_bench.core.checkpoints.formats import own
from hsa_bench.core.checkpoints.layout import Converted, Payload
from hsa_bench.core.checkpoints.match import COUNTER, Match, match
from hsa_bench.core.checkpoints.reading.safe_read import hashes, read_metadata, safe_read
from hsa_bench.core.checkpoints.recognise import advice, by_name, name_of, recognise
from hsa_bench.core.errors import CheckpointError, Mismatch, ReadError
from hsa_bench.core.models.architectures import blank
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.preprocess import overridden
from hsa_bench.core.models.user_module import feature_dim
from hsa_bench.core.models.vit_names import is_vit
from hsa_bench.core.results.result import Coverage, Source


@dataclass(frozen=True)
class Wishes:
    """What the user says of a checkpoint; empty is what the file says."""

    arch: str = ""
    file_format: str = ""
    """One of the format files' names, or the dotted path of one's own."""
    branch: str = ""
    """Which network of the file; the names are the format's."""
    card: Mapping[str, Any] | None = None
    """Fields of the card that are known better."""


def load_checkpoint(path: Path, label: str, wishes: Wishes = Wishes(), origin: str = "") -> Backbone:
    """Load a trunk from a file.

    Args:
        path: A file of torch.save, safetensors, or a pickle of arrays.
        label: Name of the backbone in tables.
        wishes: What the user says of it.
        origin: Where the file came from, e.g. "timm:resnet50"; its path if empty.

    Raises:
        CheckpointError: Unreadable, of unknown format, or not matching the trunk tensor by tensor.
    """
    payload = read(path)
    try:
        form = by_name(wishes.file_format) if wishes.file_format else recognise(payload)
        found = _converted(form, payload, wishes.branch)
        arch = choose_arch(found, wishes.arch)
        card = overridden(found.card, wishes.card or {})
        module = blank(arch, card.tokens)
        seen = _fill(module, found.state, f"read as {name_of(form)} into {arch}")
    except Mismatch as error:
        remedy = _remedy(payload, wishes, found, form, error.share)
        raise CheckpointError(f"{path}: {error}. {remedy}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if is_vit(arch):
        card = overridden(card, {"tokens": module.tokens})
    return Backbone(
        label=label,
        arch=arch,
        module=module.eval(),
        dim=feature_dim(module, arch),
        card=card,
        weights=weights_hash(module),
        source=_source(path, origin, form, found, seen),
        seen=found.image_hashes.numpy() if found.image_hashes is not None else None,
    )


def read(path: Path) -> Payload:
    """Read a file without running anything in it.

    Raises:
        CheckpointError: Missing, not a checkpoint, or holding objects other than tensors and plain values.
    """
    try:
        return own.with_metadata(safe_read(path), read_metadata(path))
    except ReadError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def _converted(form: ModuleType, payload: Payload, branch: str) -> Converted:
    known = getattr(form, "BRANCHES", None)
    if branch and known is not None and branch not in known:
        raise ValueError(f"--branch {branch}: {name_of(form)} has {', '.join(known) or 'one network alone'}")
    try:
        return form.convert(payload, branch)
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError, ValueError) as error:
        told = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"not loaded as {name_of(form)}: {told}. {advice(payload, but=name_of(form))}"
        ) from error


def _fill(module: nn.Module, state: Mapping[str, Tensor], what: str) -> Match:
    """Copy tensors in, if every one of them has its place and every place its tensor."""
    wanted = module.state_dict()
    seen = match(wanted, state)
    if not seen.complete or not seen.total:
        raise Mismatch(f"{what}: {seen}", seen.share)
    _check_values(state)
    counters = {key: torch.zeros((), dtype=torch.long) for key in wanted if key.endswith(COUNTER)}
    filled = {
        key: (state[key] if key in state else counters[key]).detach().to(place.dtype, copy=True).contiguous()
        for key, place in wanted.items()
    }
    module.load_state_dict(filled, strict=True, assign=True)
    assert not any(t.is_meta for t in (*module.parameters(), *module.buffers())), f"{what}: places left empty"
    return seen


def _check_values(state: Mapping[str, Tensor]) -> None:
    """Refuse what no training leaves behind: NaN, infinity, variances below zero."""
    for key, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{key} holds NaN or infinity: the training diverged, or the file is damaged")
        if key.endswith("running_var") and (tensor < 0).any():
            raise ValueError(f"{key} holds variances below 0: its tensors are exchanged, or damaged")


def _remedy(payload: Payload, wishes: Wishes, found: Converted, form: ModuleType, share: float) -> str:
    shapes = inferred(found.state)
    if wishes.arch and shapes and shapes != wishes.arch:
        return f"The tensors are of {shapes}: leave --arch out, or give --arch {shapes}"
    if better := advice(payload, wishes.arch, but=name_of(form), beyond=share):
        return f"Check --arch and --format. {better}"
    return (
        "No format finds more of a trunk in it: the file is incomplete, or of another network. Save all of "
        "the trunk's tensors, or give the --arch that has just these"
    )


def _source(path: Path, origin: str, form: ModuleType, found: Converted, seen: Match) -> Source:
    with path.open("rb") as file:
        digests = hashes(file)
    assumed = found.assumed
    if seen.without_counters:
        assumed = (*assumed, "batch-norm counters, which the file has not, are 0")
    return Source(
        path=origin or str(path),
        format=name_of(form),
        branch=found.branch,
        coverage=Coverage(matched=seen.matched, total=seen.total, dropped=found.dropped),
        budget=found.budget,
        **digests,
        assumed=assumed,
        images_known=0 if found.image_hashes is None else len(found.image_hashes),
    )
