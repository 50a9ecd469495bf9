"""Presets of pretraining: readable files in which every setting names its source."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsa_bench.core.presets import find_preset, presets_in, read_mapping

PRESETS = Path(__file__).with_name("presets")
FIELDS: dict[str, type] = {"arch": str, "dataset": str, "image_size": int, "settings": dict}


@dataclass(frozen=True)
class Preset:
    """What a preset file says; the command's options go over it."""

    name: str
    arch: str
    dataset: str
    image_size: int
    settings: dict[str, Any]


def presets() -> dict[str, Path]:
    """Preset files by name."""
    return presets_in(PRESETS)


def text(name: str) -> str:
    """The file as it stands, comments and all.

    Raises:
        ValueError: No such preset.
    """
    return find_preset(name, PRESETS).read_text()


def read_preset(name: str) -> Preset:
    """Read a preset by name or by its file's path.

    Raises:
        ValueError: No such preset, not YAML, or a field that presets do not have.
    """
    path = find_preset(name, PRESETS)
    found = read_mapping(path, ", ".join(FIELDS))
    for field, value in found.items():
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1) or FIELDS
            raise ValueError(f"{path}, field {field}: unknown; did you mean {', '.join(near)}?")
        if not isinstance(value, FIELDS[field]):
            raise ValueError(f"{path}, field {field}: {value!r} is not of type {FIELDS[field].__name__}")
    return Preset(name=name, **{field: found.get(field, kind()) for field, kind in FIELDS.items()})
