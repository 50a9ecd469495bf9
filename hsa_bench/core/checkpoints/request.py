"""A backbone as it is asked for: enough, as JSON, for a worker to load it again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from hsa_bench.core.checkpoints.load import Wishes, load_checkpoint
from hsa_bench.core.checkpoints.model_source import is_published, published
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess, overridden
from hsa_bench.core.models.user_module import feature_dim, is_own
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.result import Source
from hsa_bench.core.results.row_names import PIXELS
from hsa_bench.core.seed import forked


class BackboneRequest(Record):
    """A checkpoint file, a published model, a module of one's own, or a control (random weights, pixels)."""

    label: str
    """Name in tables. Several requests under one label are several pretrainings of one thing."""
    path: str = ""
    """Checkpoint file, `timm:NAME`, `torchvision:NAME`, `hf:ORG/NAME`, or `package.module:function` of a
    module that brings its weights; empty for a control."""
    arch: str = ""
    """May be empty for a file, whose shapes tell."""
    file_format: str = ""
    branch: str = ""
    card: dict[str, Any] = Field(default_factory=dict)
    """Fields of the card that are known better than the file or its format says."""
    init: int = 0
    """Seed of a control's initialisation."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def load(self) -> Backbone:
        """Load the checkpoint or build the control.

        Raises:
            CheckpointError: The file is not loaded completely.
            ValueError: No such architecture, model or card field.
        """
        if not self.path:
            return self._control()
        if is_own(self.path) and not is_published(self.path) and not Path(self.path).exists():
            return self._own()
        return self._file()

    def _file(self) -> Backbone:
        arch, form, card = self.arch, self.file_format, self.card
        path, origin = Path(self.path), ""
        if is_published(self.path):
            found = published(self.path)
            path, origin = found.path, self.path
            arch, form, card = arch or found.arch, form or found.file_format, {**found.card, **card}
        return load_checkpoint(path, self.label, Wishes(arch, form, self.branch, card), origin)

    def _own(self) -> Backbone:
        module = build(self.path)
        source = Source(path=self.path, format="module", assumed=("weights as the module brings them",))
        return self._backbone(module, self.path, source)

    def _control(self) -> Backbone:
        tokens = overridden(Preprocess(), self.card).tokens
        module = build(self.arch, self.init, tokens)
        if is_own(self.arch):
            _reset(module, self.arch, self.init)
        origin = "the picture itself" if self.arch == PIXELS else f"random initialisation {self.init}"
        return self._backbone(module, self.arch, Source(path=origin, format="control"))

    def _backbone(self, module: nn.Module, arch: str, source: Source) -> Backbone:
        tokens = {"tokens": module.tokens} if hasattr(module, "tokens") else {}
        return Backbone(
            label=self.label,
            arch=arch,
            module=module,
            dim=feature_dim(module, arch),
            card=overridden(Preprocess(), {**self.card, **tokens}),
            weights=weights_hash(module),
            source=source,
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
    return hashlib.sha256(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
