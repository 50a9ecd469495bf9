"""A backbone as it is asked for, as JSON: enough for any process to open it again. Free of torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from hsa_bench.core.input.label import checked
from hsa_bench.core.results.record import Record


class BackboneRequest(Record):
    """A checkpoint file, a published model, a module of one's own, or a control (random weights, pixels)."""

    label: Annotated[str, AfterValidator(checked)]
    """Name in tables. Several requests under one label are several pretrainings of one thing, each with
    another seed."""
    path: str = ""
    """Checkpoint file, `timm:NAME`, `torchvision:NAME`, `hf:ORG/NAME`, or `package.module:function` of a
    module that brings its weights; empty for a control."""
    arch: str = ""
    """Architecture; empty for a file whose shapes tell."""
    file_format: str = ""
    """One of the format files' names, or the dotted path of one's own; empty to recognise it."""
    branch: str = ""
    """Network of the file; the names are the format's."""
    drop: tuple[str, ...] = ()
    """Beginnings of names beside the trunk that are left out, e.g. "linear."; it changes no number."""
    card: dict[str, Any] = Field(default_factory=dict)
    """Fields of the card that are known better than the file or its format says."""
    head: str = ""
    """What becomes of the classifier of a module of one's own: "drop" or "keep"; empty to refuse it."""
    side: int = 0
    """Of the pictures to be measured, px, for a module that takes one size alone; 0: not known."""
    pretraining_seed: int | None = Field(default=None, ge=0)
    """Seed of its pretraining, for a file that does not state it."""
    init: int = 0
    """Seed of a control's initialisation."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())
