"""From a preset file and the command's options to a job, of which what changes nothing is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.named_code import is_own_path, refuse_code
from hsa_bench.core.input.presets import find_preset, presets_in, read_mapping
from hsa_bench.core.input.settings import validated
from hsa_bench.core.results.row_names import is_control
from hsa_bench.suite.job import Job, pretrains
from hsa_bench.suite.options import by_name, parse_task_settings

PRESETS = Path(__file__).parents[1] / "presets"
DEMO = "demo"


def presets() -> dict[str, Path]:
    """Return the preset files by name."""
    return presets_in(PRESETS)


def read_preset(name: str) -> dict[str, Any]:
    """Read a preset by name or file, as a mapping of `Job` fields.

    Raises:
        UsageError: No such preset, or not a mapping.
    """
    fields = read_mapping(find_preset(name, PRESETS), "fields such as dataset, tasks, seeds")
    if fields.get("set", {}) is None:  # `set:` with nothing under it
        fields = {**fields, "set": {}}
    return {**fields, "preset": name}


def make_job(preset: str, options: Mapping[str, Any], settings: Sequence[str], trusted: bool = False) -> Job:
    """Lay the command's options over a preset.

    Args:
        preset: Name or file; empty for none. The demo's if nothing says what to evaluate.
        options: Fields of `Job` that were given.
        settings: `task.field=value`, each value in YAML notation.
        trusted: Whether the preset may name Python code.

    Raises:
        UsageError: Something is unknown or of the wrong kind, or a preset that is not trusted names code.
    """
    if not preset and not any(options.get(name) for name in ("checkpoints", "dataset", "arch")):
        preset = DEMO
    base = read_preset(preset) if preset else {}
    said = validated(Job, base, preset or "options")
    if not trusted:
        refuse_code(preset, said.code())
    own = parse_task_settings(settings)
    fields = {**base, **options, "set": {**said.settings, **own}, "asked": frozenset(own)}
    job = validated(Job, fields, preset or "options")
    _check_names(job)
    _check_effect(job, options)
    if job.pretrain.backbones and not job.pretrain.arch:
        raise UsageError(f"{preset or 'options'}, field pretrain.arch: name the architecture to pretrain")
    stray = [name for name in job.settings if pretrains(name)]
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
    names = [request.label for request in job.requests()]
    if unknown := set(job.card) - {"", *names}:
        raise UsageError(f"--card {min(unknown)}.…: no such backbone in this run")
    if unknown := set(job.drop) - {"", *names}:
        raise UsageError(f"--drop {min(unknown)}=…: no such backbone in this run")
    for option, text in (
        ("arch", job.arch),
        ("format", job.file_format),
        ("branch", job.branch),
        ("head", job.head),
    ):
        for name in by_name(text):
            if name not in names:
                raise UsageError(
                    f"--{option} {name}=…: no such backbone; there are {', '.join(names) or 'none'}"
                )
    for name, seeds in job.pretraining_seeds.items():
        if names.count(name) != len(seeds):
            raise UsageError(
                f"--pretrain-seed {name}: {len(seeds)} seeds for {names.count(name)} files of that name; "
                "give one for each, in their order"
            )
    for name in (*names, *job.pretrain.backbones):
        if is_control(name):
            raise UsageError(f"{name}: is the name of a control; call this backbone something else")


def _check_effect(job: Job, options: Mapping[str, Any]) -> None:
    """Refuse options given by hand that say something of files where there is none, as they change nothing.

    Raises:
        UsageError: With the option and the backbone.
    """
    modules = {request.label for request in job.requests() if is_own_path(request.path)}
    files = [request.label for request in job.requests() if request.label not in modules]
    for field, option in (("file_format", "--format"), ("branch", "--branch"), ("arch", "--arch")):
        said = options.get(field, "")
        if idle := sorted(modules & by_name(said).keys()):
            raise UsageError(
                f"{option} {idle[0]}=…: it changes nothing, as {idle[0]} is a module and no file"
            )
        if said and not files and (field != "arch" or job.checkpoints):
            raise UsageError(f"{option} {said}: it changes nothing, as no checkpoint is opened; leave it out")
    if options.get("drop") and not files:
        raise UsageError("--drop: it changes nothing, as no checkpoint is opened; leave it out")
    for field in ("card", "head"):
        if options.get(field) and not job.requests():
            raise UsageError(f"--{field}: it changes nothing, as no checkpoint is opened; leave it out")
