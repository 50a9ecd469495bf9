"""The checkpoint that pretraining hands over: trunk, settings, data, budget; tensors and plain values."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from hsa_bench.core.checkpoints.formats.own import MARK
from hsa_bench.core.data.reads import noted_beside
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.features.image_hashes import image_hashes
from hsa_bench.core.files import whole_file
from hsa_bench.core.input.settings import departures
from hsa_bench.core.models.backbone import Hashes
from hsa_bench.core.processes import rank
from hsa_bench.core.results.device import computed_on
from hsa_bench.core.results.result import Budget
from hsa_bench.core.runs.hardware import hardware
from pretrain.kept_state import FIELD, as_field, state_of, state_path
from pretrain.loop import Training
from pretrain.monitor.mined import mined
from pretrain.older_files import UNSTATED, VERSION, as_now
from pretrain.settings import Settings
from pretrain.start import in_words

NO_DEPARTURE = frozenset(
    {"method", "knn_every", "knn_k", "knn_of", "knn_temperature", "init", "start_from", "keep_state"}
)
"""Settings that are said elsewhere, or change no number."""


def finish(training: Training, dataset: str, path: Path, resume: Path) -> Budget | None:
    """Train to the end, export, and only then remove the resume file.

    Returns:
        What it cost; None on all processes but the first, which alone writes.
    """
    check_destination(path)
    training.run(resume)
    if rank() > 0:
        return None
    spent = budget(training, dataset)
    try:
        export(training, path, spent)
    except (OSError, RuntimeError) as error:
        raise PretrainingError(
            f"{path}: could not be written ({error}). The training is over and kept in {resume}: make "
            "room and run the same command again"
        ) from error
    for left in (resume, noted_beside(resume)):
        left.unlink(missing_ok=True)
    return spent


def check_destination(path: Path) -> None:
    """Refuse a name that cannot be written to, before training.

    Raises:
        PretrainingError: It is a folder, or the name of the safetensors twin.
    """
    if path.suffix == ".safetensors":
        raise PretrainingError(f"{path}: name the .pth file; its .safetensors twin is written beside it")
    for place in (path, twin(path), state_path(path)):
        if place.is_dir():
            raise PretrainingError(f"{place}: is a folder; name a file, e.g. {place / 'backbone.pth'}")


def twin(path: Path) -> Path:
    """Name the safetensors file beside a checkpoint: hsa.pth, hsa.safetensors."""
    return path.with_name((path.stem if path.suffix in {".pth", ".pt"} else path.name) + ".safetensors")


def holds_training(training: Training, path: Path) -> bool:
    """Tell whether a file already holds just this training, its whole state beside it if that is wanted.

    Raises:
        PretrainingError: One of the two holds something else, or is missing.
    """
    there, state = _is_of(training, path), state_path(path)
    if training.settings.keep_state and there > _is_of(training, state):
        raise PretrainingError(f"{path}: is there already, but not {state.name}; move it to train again")
    return there


def _is_of(training: Training, path: Path) -> bool:
    if not path.exists():
        return False
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        held = {"version": UNSTATED, **held, "settings": as_now(held["settings"])}
        others = {name for name, value in _about(training).items() if held[name] != value}
        if not others and held["budget"]["seed"] == training.seed:
            return True
    except Exception as error:
        raise PretrainingError(
            f"{path}: is there already, and no pretraining of ours ({error}); move it"
        ) from error
    earlier = f" (by version {held['version']} of pretraining, now {VERSION})" if "version" in others else ""
    raise PretrainingError(f"{path}: holds another pretraining{earlier}; move it, or choose another --out")


def budget(training: Training, dataset: str) -> Budget:
    """State what the training cost, and which of its settings are not the defaults."""
    settings, done = training.settings, training.progress.epoch
    return Budget(
        method=settings.method,
        dataset=dataset,
        epochs=done,
        images=done * training.steps * settings.batch,
        views=training.progress.views / max(1, done),
        seconds=training.progress.seconds,
        seed=training.seed,
        flops=training.progress.flops,
        warnings=tuple(training.progress.warnings),
        notes=(*notes(settings), *training.started),
        device=computed_on(hardware(training.ctx.device)),
        mined=mined(training.progress, training.method),
        start=in_words(settings, training.backbone),
    )


def notes(settings: Settings) -> tuple[str, ...]:
    """List settings that are not the defaults, which are MoCo v2's and HSA's: "batch 64 (256)"."""
    usual = {name: value for name, value in asdict(Settings()).items() if name not in NO_DEPARTURE}
    return tuple(f"{name} {value} ({usual[name]})" for name, value in departures(settings, usual).items())


def export(training: Training, path: Path, spent: Budget) -> None:
    """Write the query trunk under torchvision's names: `path`, and the same as `.safetensors` beside it.

    The first is readable with `weights_only`; the second holds all but the hashes of the training images,
    as JSON in its metadata. With `keep_state` the first stands once more beside it, before it, with the
    whole state.
    """
    state = {k: v.float().cpu() if v.is_floating_point() else v.cpu() for k, v in _trunk(training).items()}
    about = {**_about(training), "budget": spent.model_dump(), "curves": training.progress.curves}
    contents = {**about, "state_dict": state, "image_hashes": torch.from_numpy(_seen(training))}
    if training.settings.keep_state:
        whole = state_of(training.method, training.optimiser, training.settings.optimiser)
        with whole_file(state_path(path)) as file:
            torch.save({**contents, FIELD: as_field(whole)}, file)
    with whole_file(path) as file:
        torch.save(contents, file)
    metadata = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    with whole_file(twin(path)) as file:
        file.write(save({k: v.contiguous() for k, v in state.items()}, metadata))


def _about(training: Training) -> dict[str, Any]:
    """Describe the training by all that identifies it but the seed."""
    return {
        "format": MARK,
        "version": VERSION,
        "arch": training.backbone.arch,
        "card": training.backbone.card.as_dict(),
        "settings": asdict(training.settings),
        "data": training.images.fingerprint(),
        "view": asdict(training.view),
    }


def _seen(training: Training) -> Hashes:
    """Hashes of all pictures that it was trained on, and its start before it, as far as these are known."""
    own, before = image_hashes(training.images, training.ctx), training.backbone.seen
    return own if before is None else np.union1d(own, before)


def _trunk(training: Training) -> dict[str, Any]:
    return training.method.encoder.trunk.state_dict()
