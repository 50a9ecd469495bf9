"""Presets of pretraining: readable files in which every setting names its source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from hsa_bench.core.input.bounds import Side
from hsa_bench.core.input.named_code import in_fields, refuse_code
from hsa_bench.core.input.presets import find_preset, presets_in, read_mapping
from hsa_bench.core.input.settings import validated
from hsa_bench.core.results.record import Record

PRESETS = Path(__file__).with_name("presets")


class Preset(Record):
    """The content of a preset file; the command's options go over it."""

    arch: str = ""
    dataset: str = ""
    image_size: Side = 0
    """Side of the crops, px; 0: the data set's."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Fields of `Settings`."""

    def code(self) -> Iterator[tuple[str, str]]:
        """Yield (field, name) of the Python code that the preset names."""
        yield from in_fields({"arch": self.arch, "dataset": self.dataset})
        yield from in_fields(self.settings, "settings.")


def presets() -> dict[str, Path]:
    """Find preset files by name."""
    return presets_in(PRESETS)


def text(name: str) -> str:
    """Return the file as it stands, comments and all.

    Raises:
        UsageError: No such preset.
    """
    return find_preset(name, PRESETS).read_text(encoding="utf-8")


def read_preset(name: str, trusted: bool = False) -> Preset:
    """Read a preset by name or by its file's path.

    Args:
        name: As the user wrote it.
        trusted: Whether the file may name Python code.

    Raises:
        UsageError: No such preset, not YAML, an unknown field, a value of the wrong kind, or a file that is
            not trusted names code.
    """
    path = find_preset(name, PRESETS)
    content = read_mapping(path, ", ".join(Preset.model_fields))
    preset = validated(Preset, content, str(path))
    if not trusted:
        refuse_code(str(path), preset.code())
    return preset
