"""Presets as YAML files: one of a folder by name, or anyone's by path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.input.user_path import user_path
from hsa_bench.core.input.yaml_text import read_yaml_file


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
    path = known.get(name) or user_path(name)
    if os.path.isfile(path):  # which takes any text, however long
        return path
    raise UsageError(f"{option} {name}: {did_you_mean(name, known)} (or the path of a YAML file)")


def read_mapping(path: Path, fields: str) -> dict[str, Any]:
    """The content of a preset file.

    Args:
        path: The file.
        fields: What it may hold, for the message.

    Raises:
        UsageError: Not to be read, not YAML, or not a mapping of words; see `read_yaml_file`.
    """
    found = read_yaml_file(path)
    if not isinstance(found, dict):
        raise UsageError(f"{path}: a preset is a mapping of {fields}")
    if odd := [name for name in found if not isinstance(name, str)]:
        raise UsageError(f"{path}, field {odd[0]!r}: a field's name is a word; there are {fields}")
    return found
