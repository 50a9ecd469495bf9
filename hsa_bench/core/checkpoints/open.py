"""Open a backbone as it was asked for: a file, a published model, the user's module, or a control."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from hsa_bench.core.checkpoints.load import load_checkpoint
from hsa_bench.core.checkpoints.model_source import is_published, published
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.digest import WHOLE, digest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess, overridden
from hsa_bench.core.models.taken import take_by_name
from hsa_bench.core.models.user_module import is_own
from hsa_bench.core.results.result import Source
from hsa_bench.core.results.row_names import PIXELS
from hsa_bench.core.seed import forked


def open_backbone(request: BackboneRequest) -> Backbone:
    """Load the checkpoint or build the control.

    Raises:
        CheckpointError: The file is not loaded completely.
        ValueError: No such architecture, model or card field.
    """
    if not request.path:
        return _control(request)
    if is_published(request.path):
        model = published(request.path)
        known = {"arch": request.arch or model.arch, "file_format": request.file_format or model.file_format}
        full = request.model_copy(update={**known, "card": {**model.card, **request.card}})
        return load_checkpoint(full, model.path)
    if is_own(request.path) and not Path(request.path).exists():
        return _own(request)
    return load_checkpoint(request, Path(request.path))


def _own(request: BackboneRequest) -> Backbone:
    source = Source(path=request.path, format="module", assumed=("weights as the module brings them",))
    return _backbone(request, build(request.path), request.path, source)


def _control(request: BackboneRequest) -> Backbone:
    tokens = overridden(Preprocess(), request.card).tokens
    module = build(request.arch, request.init, tokens)
    if is_own(request.arch):
        _reset(module, request.arch, request.init)
    origin = "the picture itself" if request.arch == PIXELS else f"random initialisation {request.init}"
    return _backbone(request, module, request.arch, Source(path=origin, format="control"))


def _backbone(request: BackboneRequest, module: nn.Module, arch: str, source: Source) -> Backbone:
    taken = take_by_name(module, arch, request.head, request.side)
    tokens = {"tokens": module.tokens} if isinstance(getattr(module, "tokens", None), str) else {}
    return Backbone(
        label=request.label,
        arch=arch,
        module=taken.module,
        dim=taken.dim,
        card=overridden(Preprocess(), {**request.card, **tokens}),
        weights=weights_hash(taken.module),
        source=source,
        side=taken.side,
        behaviour=taken.behaviour,
    )


def _reset(module: nn.Module, arch: str, seed: int) -> None:
    """Draw the weights of a module of one's own anew, in case that it brought trained ones.

    Raises:
        CheckpointError: Some weights cannot be drawn anew.
    """
    before = {name: _digest(tensor) for name, tensor in module.named_parameters()}
    with forked(seed, "reset", arch):
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
    same = [n for n, t in module.named_parameters() if t.ndim > 1 and _digest(t) == before[n]]
    if same:
        raise CheckpointError(
            f"--arch {arch}: {same[0]} has no reset_parameters, so that there is no random twin of it; "
            "give its layer the method, or write random_controls: 0 in a preset"
        )


def _digest(tensor: torch.Tensor) -> str:
    return digest(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes(), length=WHOLE)
