"""Read a checkpoint, recognise its format, and load it completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from hsa_bench.core.checkpoints.choose_arch import choose_arch
from hsa_bench.core.checkpoints.formats import own
from hsa_bench.core.checkpoints.layout import Converted, Payload
from hsa_bench.core.checkpoints.match import COUNTER, Match, match
from hsa_bench.core.checkpoints.reading.safe_read import hashes, read_metadata, safe_read
from hsa_bench.core.checkpoints.recognise import advice, by_name, name_of, recognise
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError, HsaBenchError, Mismatch, ReadError
from hsa_bench.core.models.architectures import blank
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.preprocess import overridden
from hsa_bench.core.models.taken import take_by_name
from hsa_bench.core.models.vit_names import is_vit
from hsa_bench.core.results.result import Coverage, Source


def load_checkpoint(request: BackboneRequest, file: Path) -> Backbone:
    """Load a trunk from a file.

    Args:
        request: What the user says of the checkpoint; an empty field keeps what the file says.
        file: Of torch.save, safetensors, or a pickle of arrays. `request.path` is the name under which it
            was asked for, e.g. "timm:resnet50".

    Raises:
        CheckpointError: Unreadable, of unknown format, or not matching the trunk tensor by tensor.
    """
    payload = read(file)
    try:
        form = by_name(request.file_format) if request.file_format else recognise(payload)
        converted = _converted(form, payload, request.branch)
        arch = choose_arch(converted, request.arch)
        card = overridden(converted.card, request.card)
        module = blank(arch, card.tokens)
        matched = _fill(module, converted.state, f"read as {name_of(form)} into {arch}")
    except Mismatch as error:
        remedy = _remedy(payload, request, converted, form, error.share)
        raise CheckpointError(f"{file}: {error}. {remedy}") from error
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error
    if is_vit(arch):
        card = overridden(card, {"tokens": module.tokens})
    taken = take_by_name(module.eval(), arch, request.head, request.side)
    return Backbone(
        label=request.label,
        arch=arch,
        module=taken.module,
        dim=taken.dim,
        card=card,
        weights=weights_hash(taken.module),
        source=_source(file, request.path, form, converted, matched),
        seen=converted.image_hashes.numpy() if converted.image_hashes is not None else None,
        side=taken.side,
        behaviour=taken.behaviour,
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
        reason = str(error) if _plain(error) else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"not loaded as {name_of(form)}: {reason}. {advice(payload, but=name_of(form))}"
        ) from error


def _plain(error: Exception) -> bool:
    """Return whether an error's message is meant for the user as it is."""
    return isinstance(error, HsaBenchError) or type(error) is ValueError


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


def _remedy(
    payload: Payload, request: BackboneRequest, converted: Converted, form: ModuleType, share: float
) -> str:
    shapes = inferred(converted.state)
    if request.arch and shapes and shapes != request.arch:
        return f"The tensors are of {shapes}: leave --arch out, or give --arch {shapes}"
    if better := advice(payload, request.arch, but=name_of(form), beyond=share):
        return f"Check --arch and --format. {better}"
    return (
        "No format finds more of a trunk in it: the file is incomplete, or of another network. Save all of "
        "the trunk's tensors, or give the --arch that has just these"
    )


def _source(file: Path, name: str, form: ModuleType, converted: Converted, matched: Match) -> Source:
    with file.open("rb") as stream:
        digests = hashes(stream)
    assumed = converted.assumed
    if matched.without_counters:
        assumed = (*assumed, "batch-norm counters, which the file has not, are 0")
    return Source(
        path=name,
        format=name_of(form),
        branch=converted.branch,
        coverage=Coverage(matched=matched.matched, total=matched.total, dropped=converted.dropped),
        budget=converted.budget,
        **digests,
        assumed=assumed,
        images_known=0 if converted.image_hashes is None else len(converted.image_hashes),
    )
