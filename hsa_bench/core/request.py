"""A backbone as it is asked for: enough, as JSON, for a worker to load it again."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.architectures import PIXELS, build
from hsa_bench.core.backbone import Backbone, weights_hash
from hsa_bench.core.card import Preprocess
from hsa_bench.core.checkpoint import load_checkpoint
from hsa_bench.core.result import Record, Source


class BackboneRequest(Record):
    """A checkpoint file, or a control (random weights, raw pixels)."""

    label: str
    """Name in tables. Several requests under one label are several pretrainings of one thing."""
    path: str = ""
    """Checkpoint file; empty for a control."""
    arch: str = ""
    """May be empty for a file, whose shapes tell."""
    file_format: str = ""
    init: int = 0
    """Seed of a control's initialisation."""

    def load(self) -> Backbone:
        """Load the checkpoint or build the control.

        Raises:
            CheckpointError: The file is not loaded completely.
            ValueError: No such architecture.
        """
        if self.path:
            return load_checkpoint(Path(self.path), self.label, self.arch, self.file_format)
        module = build(self.arch, self.init)
        origin = "the picture itself" if self.arch == PIXELS else f"random initialisation {self.init}"
        return Backbone(
            label=self.label,
            arch=self.arch,
            module=module,
            dim=module.dim,
            card=Preprocess(),
            weights=weights_hash(module),
            source=Source(path=origin, format="control"),
        )
