"""What a run is asked to do: a preset file and the command's options, checked, as one object."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from hsa_bench.core.preset_files import find_preset, presets_in, read_mapping
from hsa_bench.core.result import Record

PRESETS = Path(__file__).with_name("presets")
DEMO = "demo"
SHIPPED = "digits"
"""A data set that ships inside a dependency."""


class UsageError(ValueError):
    """The user's mistake: the message names the option or field and the remedy."""


class CheckpointOption(Record):
    """One `--checkpoint NAME=PATH`."""

    label: str
    path: str


class Pretraining(Record):
    """The backbones a run pretrains before it evaluates them."""

    arch: str = ""
    """Architecture of all of them."""
    backbones: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By label: settings of the pretraining task, its `method` first."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that all of them share."""
    seeds: tuple[int, ...] = (0,)
    """Several pretrainings of each; shown as one row with its spread."""


class Job(Record):
    """Everything a run does. The fields are those of a preset file."""

    title: str = "Transfer evaluation"
    preset: str = ""
    notes: tuple[str, ...] = ()
    """Departures from papers and other remarks, printed in the report."""
    dataset: str = ""
    arch: str = ""
    """Of the checkpoints where their tensors do not tell, or of the controls alone."""
    file_format: str = ""
    image_size: int = 0
    baseline: str = ""
    random_controls: int = 3
    """Random initialisations of each architecture to measure beside the checkpoints."""
    pixels_control: bool = True
    pretrain: Pretraining = Pretraining()
    checkpoints: tuple[CheckpointOption, ...] = ()
    tasks: tuple[str, ...] = ("linear", "knn", "semisup")
    seeds: tuple[int, ...] = (0,)
    limit: int | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    """`task.field: value`; the task is a plug-in's name (all its variants) or one variant's."""


def presets() -> dict[str, Path]:
    """Preset files by name."""
    return presets_in(PRESETS)


def read_preset(name: str) -> dict[str, Any]:
    """A preset by name or file, as a mapping of `Job` fields.

    Raises:
        UsageError: No such preset, or not a mapping.
    """
    try:
        return {
            **read_mapping(find_preset(name, PRESETS), "fields such as dataset, tasks, seeds"),
            "preset": name,
        }
    except ValueError as error:
        raise UsageError(str(error)) from error


def make_job(preset: str, options: Mapping[str, Any], settings: Sequence[str]) -> Job:
    """Lay the command's options over a preset.

    Args:
        preset: Name or file; empty for none. The demo's if nothing says what to evaluate.
        options: Fields of `Job` that were given.
        settings: `task.field=value`, each value in YAML notation.

    Raises:
        UsageError: Something is unknown or of the wrong kind.
    """
    if not preset and not any(options.get(name) for name in ("checkpoints", "dataset", "arch")):
        preset = DEMO
    base = read_preset(preset) if preset else {}
    chosen = {**base, **options, "set": {**base.get("set", {}), **parse_settings(settings)}}
    try:
        job = Job.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        hint = f" ({_suggest(where, Job.model_fields)})" if first["type"] == "extra_forbidden" else ""
        raise UsageError(f"{preset or 'options'}, field {where}: {first['msg']}{hint}") from error
    if job.pretrain.backbones and not job.pretrain.arch:
        raise UsageError(f"{preset or 'options'}, field pretrain.arch: name the architecture to pretrain")
    stray = [name for name in job.set if name.startswith("pretrain.")]
    if stray and not job.pretrain.backbones:
        raise UsageError(f"--set {stray[0]}: this run pretrains nothing; see python -m pretrain")
    if not (job.checkpoints or job.pretrain.backbones or job.arch):
        raise UsageError("nothing to evaluate: give --checkpoint NAME=PATH, or --arch for the controls alone")
    return job


def parse_checkpoint(text: str) -> CheckpointOption:
    """`NAME=PATH`.

    Raises:
        UsageError: Another form.
    """
    label, found, path = text.partition("=")
    if not (label and found and path) or "/" in label:
        raise UsageError(f"--checkpoint {text}: write NAME=PATH, for example mine=runs/mine.pth")
    return CheckpointOption(label=label, path=str(Path(path).expanduser().absolute()))


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`task.field=value` pairs.

    Raises:
        UsageError: Another form.
    """
    parsed = {}
    for text in settings:
        name, found, value = text.partition("=")
        if not found or "." not in name:
            raise UsageError(f"--set {text}: write task.field=value, for example linear.epochs=50")
        parsed[name] = yaml.safe_load(value)
    return parsed


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}"
