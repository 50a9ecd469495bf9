"""The checkpoint that pretraining hands over: trunk, settings, data, budget; tensors and plain values."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from hsa_bench.core.formats.own import MARK
from hsa_bench.core.image_hashes import image_hashes
from hsa_bench.core.processes import rank
from hsa_bench.core.result import Budget
from hsa_bench.core.store import whole_file
from pretrain.loop import Training
from pretrain.settings import Settings


def finish(training: Training, dataset: str, path: Path, resume: Path) -> Budget | None:
    """Train to the end, export, and only then remove the resume file.

    Returns:
        What it cost; None on all processes but the first, which alone writes.
    """
    training.run(resume)
    if rank() > 0:
        return None
    spent = budget(training, dataset)
    export(training, path, spent)
    resume.unlink(missing_ok=True)
    return spent


def budget(training: Training, dataset: str) -> Budget:
    """What the training cost, and which of its settings are not the defaults."""
    settings = training.settings
    return Budget(
        method=settings.method,
        dataset=dataset,
        epochs=settings.epochs,
        images=settings.epochs * training.steps * settings.batch,
        views=training.method.views,
        seconds=training.progress.seconds,
        seed=training.seed,
        flops=training.progress.flops,
        warnings=tuple(training.progress.warnings),
        notes=departures(settings),
    )


def departures(settings: Settings) -> tuple[str, ...]:
    """Settings other than the defaults, which are MoCo v2's and HSA's: "batch 64 (256)"."""
    usual = Settings()
    return tuple(
        f"{f.name} {getattr(settings, f.name)} ({getattr(usual, f.name)})"
        for f in fields(Settings)
        if f.name not in {"method", "knn_every"} and getattr(settings, f.name) != getattr(usual, f.name)
    )


def export(training: Training, path: Path, spent: Budget) -> None:
    """Write the query trunk under torchvision's names: `path`, and the same as `.safetensors` beside it.

    The first is readable with `weights_only`; the second holds all but the hashes of the training pictures,
    as JSON in its metadata.
    """
    state = {k: v.float().cpu() if v.is_floating_point() else v.cpu() for k, v in _trunk(training).items()}
    about: dict[str, Any] = {
        "format": MARK,
        "arch": training.backbone.arch,
        "card": training.backbone.card.as_dict(),
        "settings": asdict(training.settings),
        "data": training.images.fingerprint(),
        "budget": spent.model_dump(),
        "curves": training.progress.curves,
    }
    hashes = torch.from_numpy(image_hashes(training.images, training.ctx))
    with whole_file(path) as file:
        torch.save({**about, "state_dict": state, "image_hashes": hashes}, file)
    metadata = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    with whole_file(path.with_suffix(".safetensors")) as file:
        file.write(save({k: v.contiguous() for k, v in state.items()}, metadata))


def _trunk(training: Training) -> dict[str, Any]:
    return training.method.encoder.trunk.state_dict()
