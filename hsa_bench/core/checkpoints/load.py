"""Read a checkpoint, recognise its format, and load it completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from hsa_bench.core.checkpoints.formats import own
from hsa_bench.core.checkpoints.layout import Payload
from hsa_bench.core.checkpoints.match import COUNTER, Match, to_counter
from hsa_bench.core.checkpoints.reading.safe_read import hashes, read_metadata, safe_read
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.checkpoints.take_trunk import Taken, take_trunk
from hsa_bench.core.errors import CheckpointError, ReadError
from hsa_bench.core.models.architectures import blank
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess, in_words, overridden
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
    before = _state_of(file)
    payload = read(file)
    try:
        found = take_trunk(payload, request)
        module, matched, card = _filled(found, request)
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error
    except (RuntimeError, TypeError, NotImplementedError) as error:  # tensors of a kind that nothing takes
        raise CheckpointError(f"{file}: is not read ({type(error).__name__}: {str(error)[:150]})") from error
    source = _source(file, request, found, matched)
    if _state_of(file) != before:
        raise CheckpointError(f"{file}: changed while it was read; try again when its writer is done")
    taken = take_by_name(module.eval(), found.arch, request.head, request.side)
    pictures = found.converted.image_hashes
    return Backbone(
        label=request.label,
        arch=found.arch,
        module=taken.module,
        dim=taken.dim,
        card=card,
        weights=weights_hash(taken.module),
        source=source,
        seen=pictures.numpy() if pictures is not None else None,
        side=taken.side,
        behaviour=taken.behaviour,
    )


def _state_of(file: Path) -> tuple[int, ...]:
    try:
        seen = file.stat()
    except OSError:
        return ()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def read(path: Path) -> Payload:
    """Read a file without running anything in it.

    Raises:
        CheckpointError: Missing, not a checkpoint, or holding objects other than tensors and plain values.
    """
    try:
        return own.with_metadata(safe_read(path), read_metadata(path))
    except ReadError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def _filled(found: Taken, request: BackboneRequest) -> tuple[nn.Module, Match, Preprocess]:
    """Copy the tensors in, which all have their places."""
    card = overridden(found.converted.card, request.card)
    state, arch = found.converted.state, found.arch
    _check_values(state)
    module = found.module if found.module is not None else blank(arch, card.tokens)
    wanted = module.state_dict()
    filled = {key: _value(key, place, state) for key, place in wanted.items()}
    module.load_state_dict(filled, strict=True, assign=True)
    empty = any(t.is_meta for t in (*module.parameters(), *module.buffers()))
    assert not empty, f"{arch}: places left empty"
    return module, found.matched, overridden(card, {"tokens": module.tokens}) if is_vit(arch) else card


def _value(key: str, place: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    if key.endswith(COUNTER):
        return to_counter(state[key]) if key in state else torch.zeros((), dtype=torch.long)
    return state[key].detach().to(place.dtype, copy=True).contiguous()


def _check_values(state: Mapping[str, Tensor]) -> None:
    """Refuse what no training leaves behind: NaN, infinity, variances below zero."""
    for key, tensor in state.items():
        if key.endswith(COUNTER):
            continue
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise ValueError(f"{key} holds NaN or infinity: the training diverged, or the file is damaged")
        if key.endswith("running_var") and (tensor < 0).any():
            raise ValueError(f"{key} holds variances below 0: its tensors are exchanged, or damaged")


def _source(file: Path, request: BackboneRequest, found: Taken, matched: Match) -> Source:
    converted, images = found.converted, found.converted.image_hashes
    with file.open("rb") as stream:
        digests = hashes(stream)
    assumed = [*converted.assumed]
    if not converted.card_stated and not {"mean", "std"} <= set(request.card):
        assumed.append(in_words(converted.card))
    if matched.without_counters:
        assumed.append("batch-norm counters, which the file has not, are 0")
    return Source(
        path=request.path,
        format=found.form,
        branch=converted.branch,
        coverage=Coverage(matched=matched.matched, total=matched.total, dropped=converted.dropped),
        budget=converted.budget,
        **digests,
        assumed=tuple(assumed),
        images_known=0 if images is None else len(images),
    )
