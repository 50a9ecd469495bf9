"""Presets as YAML files: one of a folder by name, or anyone's by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hsa_bench.core.errors import UsageError
from hsa_bench.core.suggest import did_you_mean


def presets_in(folder: Path) -> dict[str, Path]:
    """Preset files by name."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_preset(name: str, folder: Path, option: str = "--preset") -> Path:
    """Return the file of a preset, by name or path.

    Args:
        name: As the user wrote it.
        folder: Where presets with names are.
        option: For the message.

    Raises:
        UsageError: No such preset; the message suggests one.
    """
    known = presets_in(folder)
    path = known.get(name, Path(name))
    if path.is_file():
        return path
    raise UsageError(f"{option} {name}: {did_you_mean(name, known)} (or the path of a YAML file)")


def read_mapping(path: Path, fields: str) -> dict[str, Any]:
    """The content of a preset file.

    Args:
        path: The file.
        fields: What it may hold, for the message.

    Raises:
        UsageError: Not YAML, or not a mapping.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({error})") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: a preset is a mapping of {fields}")
    return found
