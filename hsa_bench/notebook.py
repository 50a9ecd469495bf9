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
from torch import nn

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.digest import digest
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.label import fault_of, shown
from hsa_bench.core.input.user_path import user_path
from hsa_bench.core.models.architectures import ResNetTrunk, build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.behaviour import class_path, without_addresses
from hsa_bench.core.models.infer_arch import infer_arch
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.models.probe import dtype_of
from hsa_bench.core.models.taken import take
from hsa_bench.core.models.unwrap import unwrapped
from hsa_bench.core.results.result import Source, TaskResult
from hsa_bench.core.results.row_names import is_control
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.plan import LoadedBackbone, Run, make_plan
from hsa_bench.core.runs.runner import aside_if_of_another, finished
from hsa_bench.core.runs.time_limit import check_alarm, parse_duration
from hsa_bench.core.seed import generator
from hsa_bench.suite.choose_tasks import choose_tasks
from hsa_bench.suite.one_name import check_on_file
from hsa_bench.suite.open_bench import at_work, open_bench
from hsa_bench.suite.options import checked_seeds, is_name
from reports.run_folder.frame import tidy

UNNAMED = "backbone"
"""Label of what nobody named; whatever weights it stands for, they are never averaged."""


def evaluate(  # noqa: PLR0913 (a notebook's option list)
    module_or_path: nn.Module | str | Path,
    tasks: str | Iterable[str] = ("linear", "knn"),
    dataset: str = "digits",
    *,
    label: str = UNNAMED,
    arch: str = "",
    file_format: str = "",
    branch: str = "",
    drop: Sequence[str] = (),
    head: str = "",
    pretraining_seed: int | None = None,
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
        module_or_path: A module that maps [B, 3, H, W] to [B, D], bare or in DataParallel, torch.compile and
            the like; or a checkpoint file, or "timm:NAME" and so on. A module is copied, so a training loop
            can go on with it.
        tasks: Names as for `--tasks`.
        dataset: As for `--dataset`.
        label: Name of the backbone in the table.
        arch: Of a file, where its tensors do not tell.
        file_format: Of a file, where it is not recognised.
        branch: Network of a file: "key", "teacher" …
        drop: Of a file: how the names of tensors begin that stand beside the trunk, e.g. "linear.".
        head: "drop" measures what goes into a module's last layer, "keep" what comes out; empty refuses a
            module that ends in a classifier, unless it is timm's or torchvision's, which give their features.
        pretraining_seed: Of a backbone that is one of several pretrainings of one thing, which share a label
            and are averaged; a file of this project's own states it itself. Without it, other weights need
            another label.
        card: Preprocessing it expects; if None, ImageNet's mean and standard deviation for a module, and
            what a file and its format say for a file.
        seeds: Evaluation seeds.
        limit: Draw this many training and test images.
        image_size: Side of the crops, px; 0: the data set's. A module that takes one size alone needs that.
        out: Folder for results and cache; finished runs in it are re-used.
        data: Folder that holds the named data sets.
        device: "auto" (cuda where there is any, else cpu), "cpu", "cuda", "cuda:1" …
        workers: Loader processes.
        timeout: End a run that takes longer, e.g. "90m" or "2h", as failed. It ends between two steps of
            Python, and in the main thread alone; the command's `--timeout` ends what hangs anywhere.
        settings: `task.field` values: `evaluate(net, "knn", **{"knn.k": 10})`.

    Returns:
        One row per run and metric, as `reports.run_folder.frame.tidy` gives it.

    Raises:
        ValueError: Wrong usage, or a task's data is missing.
    """
    _check_label(label)
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit}: draw at least one image, or None for all")
    seeds = checked_seeds(seeds, "seeds")
    names = tasks.split(",") if isinstance(tasks, str) else list(tasks)
    chosen = choose_tasks(names, settings, image_size)
    bench = _bench(open_bench(Path(out), Path(data), device, workers), timeout)
    if isinstance(module_or_path, nn.Module):
        if idle := [
            n
            for n, v in (("arch", arch), ("file_format", file_format), ("branch", branch), ("drop", drop))
            if v
        ]:
            raise UsageError(f"{idle[0]}: it changes nothing, as a module is no file; leave it out")
        backbone = from_module(module_or_path, label, card, head, image_size)
        request = BackboneRequest(label=label, arch=backbone.arch, pretraining_seed=pretraining_seed)
    else:
        path = str(module_or_path)
        request = BackboneRequest(
            label=label,
            path=path if is_name(path) else str(user_path(path)),
            arch=arch,
            file_format=file_format,
            branch=branch,
            drop=(drop,) if isinstance(drop, str) else tuple(drop),
            card=card.as_dict() if card else {},
            head=head,
            side=image_size,
            pretraining_seed=pretraining_seed,
        )
        backbone = open_backbone(request)
    loaded = LoadedBackbone(request, backbone)
    if label != UNNAMED:
        check_on_file(loaded, bench.store)
    with at_work(bench, _say):
        plan = make_plan(chosen, [loaded], dataset, seeds, limit, bench.ctx)
        if plan.blocked:
            raise UsageError(plan.blocked[0].blocked)
        return tidy([finished(run, bench) or _done(run, bench, backbone) for run in plan.runs])


def _check_label(label: object) -> None:
    """Refuse what is no name for a backbone, or a control's.

    Raises:
        UsageError: With the remedy.
    """
    if not isinstance(label, str):
        raise UsageError(f"label {label!r}: is a {type(label).__name__}; give a text")
    if fault := fault_of(label):
        raise UsageError(f"label {shown(label)} {fault}")
    if is_control(label):
        raise UsageError(f"label {label}: is the name of a control; call this backbone something else")


def _done(run: Run, bench: Bench, backbone: Backbone) -> TaskResult:
    if said := aside_if_of_another(run, bench):
        _say(said)
    return execute(run, bench, backbone)


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


def from_module(
    module: nn.Module, label: str, card: Preprocess | None = None, head: str = "", image_size: int = 0
) -> Backbone:
    """A copy of a module as a backbone; see `take` for what becomes of wrappers and of a classifier.

    A plain torchvision ResNet becomes the trunk that its checkpoint would give, so both have the same key.
    """
    given = unwrapped(module)
    name = type(given).__qualname__
    taken = take(copy.deepcopy(given).cpu().eval(), name, head, image_size)
    arch = _known_arch(taken.module)
    same_class = type(taken.module) is type(given)
    return Backbone(
        label=label,
        arch=arch or _described(taken.module if same_class else given),
        module=taken.module,
        dim=taken.dim,
        card=card or Preprocess(),
        weights=weights_hash(taken.module),
        source=Source(path=f"module {name}", format="module"),
        side=taken.side,
        behaviour="" if arch else taken.behaviour,
    )


def _known_arch(trunk: nn.Module) -> str:
    """Name of the architecture, if the one that the shapes suggest gives the same features; else empty."""
    if not isinstance(trunk, ResNetTrunk):
        return ""
    try:
        arch = infer_arch(trunk.state_dict())
    except ValueError:
        return ""
    twin = build(arch).to(dtype_of(trunk))
    twin.load_state_dict(trunk.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=generator(0, "probe")).to(dtype_of(trunk))
    with torch.inference_mode():
        return arch if torch.allclose(twin.eval()(x), trunk(x), rtol=1e-4, atol=1e-5) else ""


def _described(module: nn.Module) -> str:
    """A module's class, and a hash of its printed structure, where strides and the like stand."""
    structure = digest(without_addresses(repr(module)), length=8)
    return f"{class_path(type(module))}-{structure}"
