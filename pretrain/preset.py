"""Presets of pretraining: readable files in which every setting names its source."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

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
    return {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def text(name: str) -> str:
    """The file as it stands, comments and all.

    Raises:
        ValueError: No such preset.
    """
    return _path(name).read_text()


def read_preset(name: str) -> Preset:
    """Read a preset by name or by its file's path.

    Raises:
        ValueError: No such preset, not YAML, or a field that presets do not have.
    """
    path = _path(name)
    try:
        found = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: a preset is a mapping of {', '.join(FIELDS)}")
    for field, value in found.items():
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1) or FIELDS
            raise ValueError(f"{path}, field {field}: unknown; did you mean {', '.join(near)}?")
        if not isinstance(value, FIELDS[field]):
            raise ValueError(f"{path}, field {field}: {value!r} is not of type {FIELDS[field].__name__}")
    return Preset(name=name, **{field: found.get(field, kind()) for field, kind in FIELDS.items()})


def _path(name: str) -> Path:
    path = presets().get(name, Path(name))
    if path.is_file():
        return path
    near = difflib.get_close_matches(name, presets(), n=3)
    remedy = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(presets())}"
    raise ValueError(f"--preset {name}: {remedy} (or the path of a YAML file)")
