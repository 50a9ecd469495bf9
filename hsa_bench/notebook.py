"""The call: evaluate a module or a file from a notebook or a training loop."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchvision
from torch import nn

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.digest import digest
from hsa_bench.core.errors import UsageError
from hsa_bench.core.label import fault_of, shown
from hsa_bench.core.models.architectures import ResNetTrunk, build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.infer_arch import infer_arch
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Source
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.plan import LoadedBackbone, make_plan
from hsa_bench.core.runs.runner import finished
from hsa_bench.core.runs.time_limit import check_alarm, parse_duration
from hsa_bench.core.seed import generator
from hsa_bench.core.user_path import user_path
from hsa_bench.suite.choose_tasks import choose_tasks
from hsa_bench.suite.open_bench import at_work, open_bench
from hsa_bench.suite.options import checked_seeds, is_name
from reports.run_folder.frame import tidy

KEYED_AS = {
    "hsa_bench.core.models.architectures.ResNetTrunk": "hsa_bench.core.architectures.ResNetTrunk",
    "hsa_bench.core.models.architectures.Pixels": "hsa_bench.core.architectures.Pixels",
    "hsa_bench.core.models.vit.ViTTrunk": "hsa_bench.core.vit.ViTTrunk",
}
"""Classes of ours that have moved, by the path under which they stand in the keys of results."""


def evaluate(  # noqa: PLR0913 (a notebook's option list)
    module_or_path: nn.Module | str | Path,
    tasks: str | Iterable[str] = ("linear", "knn"),
    dataset: str = "digits",
    *,
    label: str = "backbone",
    arch: str = "",
    file_format: str = "",
    branch: str = "",
    card: Preprocess | None = None,
    seeds: Sequence[int] = (0,),
    limit: int | None = None,
    image_size: int = 0,
    out: str | Path = "runs/notebook",
    data: str | Path = "data",
    device: str = "auto",
    workers: int = 0,
    timeout: str = "",
    **settings: Any,
) -> pd.DataFrame:
    """Measure one backbone, in this process, with the command's keys and the command's store.

    Args:
        module_or_path: A module that maps [B, 3, H, W] to [B, D]; or a checkpoint file, or "timm:NAME" and
            the like. A module is copied, so a training loop can go on with it.
        tasks: Names as for `--tasks`.
        dataset: As for `--dataset`.
        label: Name of the backbone in the table.
        arch: Of a file, where its tensors do not tell.
        file_format: Of a file, where it is not recognised.
        branch: Network of a file: "key", "teacher" …
        card: Preprocessing it expects; if None, ImageNet's mean and standard deviation for a module, and
            what a file and its format say for a file.
        seeds: Evaluation seeds.
        limit: Draw this many training and test images.
        image_size: Side of the crops, px; 0: the data set's.
        out: Folder for results and cache; finished runs in it are re-used.
        data: Folder that holds the named data sets.
        device: "auto", "cpu", "cuda" …
        workers: Loader processes.
        timeout: End a run that takes longer, e.g. "90m" or "2h", as failed. It ends between two steps of
            Python, and in the main thread alone; the command's `--timeout` ends what hangs anywhere.
        settings: `task.field` values: `evaluate(net, "knn", **{"knn.k": 10})`.

    Returns:
        One row per run and metric, as `reports.run_folder.frame.tidy` gives it.

    Raises:
        ValueError: Wrong usage, or a task's data is missing.
    """
    if fault := fault_of(label):
        raise UsageError(f"label {shown(label)} {fault}")
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit}: draw at least one image, or None for all")
    seeds = checked_seeds(seeds, "seeds")
    names = tasks.split(",") if isinstance(tasks, str) else list(tasks)
    chosen = choose_tasks(names, settings, image_size)
    bench = _bench(open_bench(Path(out), Path(data), device, workers), timeout)
    if isinstance(module_or_path, nn.Module):
        if idle := [n for n, v in (("arch", arch), ("file_format", file_format), ("branch", branch)) if v]:
            raise UsageError(f"{idle[0]}: it changes nothing, as a module is no file; leave it out")
        backbone = from_module(module_or_path, label, card)
        request = BackboneRequest(label=label, arch=backbone.arch)
    else:
        path = str(module_or_path)
        request = BackboneRequest(
            label=label,
            path=path if is_name(path) else str(user_path(path)),
            arch=arch,
            file_format=file_format,
            branch=branch,
            card=card.as_dict() if card else {},
        )
        backbone = open_backbone(request)
    with at_work(bench, _say):
        plan = make_plan(chosen, [LoadedBackbone(request, backbone)], dataset, seeds, limit, bench.ctx)
        if plan.blocked:
            raise UsageError(plan.blocked[0].blocked)
        return tidy([finished(run, bench) or execute(run, bench, backbone) for run in plan.runs])


def _bench(bench: Bench, timeout: str) -> Bench:
    """Give the bench its limit, and say what a person should know on standard error.

    Raises:
        UsageError: The limit cannot be read, or not be kept in this thread.
    """
    try:
        limit = parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"timeout {error}") from error
    check_alarm(limit)
    return replace(bench, timeout=limit, ctx=replace(bench.ctx, say=_say))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def from_module(module: nn.Module, label: str, card: Preprocess | None = None) -> Backbone:
    """A copy of a module as a backbone.

    A plain torchvision ResNet becomes the trunk that its checkpoint would give, so both have the same key.
    """
    inner = copy.deepcopy(module).cpu().eval()
    if type(inner) is torchvision.models.ResNet:
        inner = ResNetTrunk(inner).eval()  # its own layers, so that its strides stay what they are
    with torch.inference_mode():
        features = inner(torch.zeros(2, 3, 64, 64))
    if features.ndim != 2:
        name = type(module).__qualname__
        raise ValueError(f"{name}: gives {tuple(features.shape)} for [2, 3, 64, 64]; wanted is [2, D]")
    return Backbone(
        label=label,
        arch=_known_arch(inner) or _described(module),
        module=inner,
        dim=features.shape[1],
        card=card or Preprocess(),
        weights=weights_hash(inner),
        source=Source(path=f"module {type(module).__qualname__}", format="module"),
    )


def _known_arch(trunk: nn.Module) -> str:
    """Name of the architecture, if the one that the shapes suggest gives the same features; else empty."""
    if not isinstance(trunk, ResNetTrunk):
        return ""
    try:
        arch = infer_arch(trunk.state_dict())
    except ValueError:
        return ""
    twin = build(arch)
    twin.load_state_dict(trunk.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=generator(0, "probe"))
    with torch.inference_mode():
        return arch if torch.allclose(twin.eval()(x), trunk(x), rtol=1e-4, atol=1e-5) else ""


def _described(module: nn.Module) -> str:
    """A module's class, and a hash of its printed structure, where strides and the like stand."""
    structure = digest(repr(module), length=8)
    path = f"{type(module).__module__}.{type(module).__qualname__}"
    return f"{KEYED_AS.get(path, path)}-{structure}"
