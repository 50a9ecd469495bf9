"""What a run is asked to do: a preset file and the command's options, checked, as one object."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from hsa_bench.core.errors import UsageError
from hsa_bench.core.presets import find_preset, presets_in, read_mapping
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.row_names import is_control

if TYPE_CHECKING:
    from hsa_bench.core.checkpoints.request import BackboneRequest

PRESETS = Path(__file__).parents[1] / "presets"
DEMO = "demo"
SHIPPED = "digits"
"""A data set that ships inside a dependency."""

NAMED = re.compile(r"(timm|torchvision|hf):\S+|[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""Backbones by name instead of a file."""


def words(given: Any) -> Any:
    """The parts of a text between commas; anything else as it is."""
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    return given


Names = Annotated[tuple[str, ...], BeforeValidator(words)]
"""A list of names, or one text with commas."""


class CheckpointOption(Record):
    """One `--checkpoint NAME=PATH`."""

    label: str
    path: str


class Pretraining(Record):
    """The backbones a run pretrains before it evaluates them."""

    arch: str = ""
    """Architecture of all of them."""
    backbones: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By label: settings of the pretraining task, its `method` first; and `seeds`, where they are its own."""
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
    """Of the checkpoints where their tensors do not tell, or of the controls alone. This and the next two
    are one word for all checkpoints, or `NAME=word,NAME=word`."""
    file_format: str = ""
    branch: str = ""
    """Which network of the files."""
    card: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By backbone's name ("": all): fields of the card that are known better than the file says."""
    image_size: int = 0
    baseline: Names = ()
    """Backbones that the others are compared with; empty: moco and simclr where they are."""
    claims: dict[str, str] = Field(default_factory=dict)
    """By backbone's name ("" with a single one): the published pretraining its file is said to be."""
    random_controls: int = 3
    """Random initialisations of each architecture to measure beside the checkpoints."""
    controls_on: Literal["cheap", "all"] = "cheap"
    """The tasks that controls are measured on: those that take seconds once features are there, or all."""
    pixels_control: bool = True
    pretrain: Pretraining = Pretraining()
    checkpoints: tuple[CheckpointOption, ...] = ()
    tasks: tuple[str, ...] = ("linear", "knn", "semisup")
    seeds: tuple[int, ...] = (0,)
    limit: int | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    """`task.field: value`; the task is a plug-in's name (all its variants) or one variant's."""

    def requests(self) -> list[BackboneRequest]:
        """The backbones named by the user; a module of one's own without a file is named by its function."""
        from hsa_bench.core.checkpoints.request import BackboneRequest
        from hsa_bench.core.models.user_module import is_own

        named = [(option.label, option.path, self.arch) for option in self.checkpoints]
        if not named and not self.pretrain.backbones and is_own(self.arch):
            named = [(self.arch.partition(":")[2], self.arch, "")]
        return [
            BackboneRequest(
                label=label,
                path=path,
                arch=_for(label, arch),
                file_format=_for(label, self.file_format),
                branch=_for(label, self.branch),
                card={**self.card.get("", {}), **self.card.get(label, {})},
            )
            for label, path, arch in named
        ]


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
    _check_names(job)
    if job.pretrain.backbones and not job.pretrain.arch:
        raise UsageError(f"{preset or 'options'}, field pretrain.arch: name the architecture to pretrain")
    stray = [name for name in job.set if name.startswith("pretrain.")]
    if stray and not job.pretrain.backbones:
        raise UsageError(f"--set {stray[0]}: this run pretrains nothing; see python -m pretrain")
    if not (job.checkpoints or job.pretrain.backbones or job.arch):
        raise UsageError("nothing to evaluate: give --checkpoint NAME=PATH, or --arch for the controls alone")
    return job


def _check_names(job: Job) -> None:
    """Refuse names of no backbone, which would pass over what is said of it, and those of controls.

    Raises:
        UsageError: With the option and the name.
    """
    names = [c.label for c in job.checkpoints] or [r.label for r in job.requests()]
    if unknown := set(job.card) - {"", *names}:
        raise UsageError(f"--card {min(unknown)}.…: no such backbone in this run")
    for option, text in (("arch", job.arch), ("format", job.file_format), ("branch", job.branch)):
        for name in _by_name(text):
            if name not in names:
                raise UsageError(
                    f"--{option} {name}=…: no such backbone; there are {', '.join(names) or 'none'}"
                )
    for name in (*names, *job.pretrain.backbones):
        if is_control(name):
            raise UsageError(f"{name}: is the name of a control; call this backbone something else")


def _by_name(words: str) -> dict[str, str]:
    """`NAME=word,NAME=word` by name; empty for one word."""
    return dict(part.strip().partition("=")[::2] for part in words.split(",")) if "=" in words else {}


def _for(label: str, words: str) -> str:
    """What `word`, or `NAME=word,NAME=word`, says of one backbone."""
    return _by_name(words).get(label, "") if "=" in words else words


def parse_checkpoint(text: str) -> CheckpointOption:
    """`NAME=PATH`, where the path may also be timm:NAME and the like, or `package.module:function`.

    Raises:
        UsageError: Another form.
    """
    label, found, path = text.partition("=")
    if not (label and found and path) or "/" in label:
        raise UsageError(f"--checkpoint {text}: write NAME=PATH, for example mine=runs/mine.pth")
    place = Path(path).expanduser()
    if NAMED.fullmatch(path) and not place.exists():
        return CheckpointOption(label=label, path=path)
    return CheckpointOption(label=label, path=str(place.absolute()))


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
