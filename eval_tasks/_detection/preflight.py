"""What a detection task needs and this machine lacks, before hours are spent: `--check`."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from eval_tasks._detection.samples import with_objects
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.transfer import NAMED
from hsa_bench.core.commands.command import home
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.context import Context
from hsa_bench.core.data.decode_check import ALL_PICTURES, SAMPLE, faulty
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.devices import fault_of
from hsa_bench.core.errors import DataError, UsageError
from hsa_bench.core.features.room import free_bytes
from hsa_bench.core.input.name_value import parse_settings
from hsa_bench.core.input.settings import changed
from hsa_bench.core.input.suggest import did_you_mean

INSTALL = (
    "git clone https://github.com/facebookresearch/detectron2 && "
    "pip install --no-build-isolation ./detectron2 (torch, setuptools, wheel and a C++ compiler first)"
)

GIB_PER_IMAGE = {"c4": 4.5, "fpn": 2.3}
"""Training memory an image of 800 x 1216 px, ResNet-50, 512 regions, masks; measured on a CPU."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    subject: str
    good: bool
    text: str
    needed: bool = True
    """Whether the task cannot run without it."""

    def __str__(self) -> str:
        sign = "ok" if self.good else "MISSING" if self.needed else "note"
        return f"{sign:8} {self.subject}: {self.text}"


def checks(task: DetectionTask, ctx: Context) -> Iterator[Check]:
    """Look at packages, compiled operations, data and memory.

    Args:
        task: With the settings it will run with.
        ctx: Where data is, and the device.
    """
    yield from _packages(task)
    try:
        data = task.data("", ctx)
        resolved = task.resolved(data, ctx)
    except DataError as error:
        yield Check("data", False, str(error))
        return
    for name, split in (("train", data.train), ("test", data.val)):
        objects = sum(map(len, split.objects))
        text = (
            f"{len(split):,} images ({len(with_objects(split)):,} with objects), {objects:,} objects of "
            f"{len(split.categories)} classes in {split.annotation_file}"
        )
        yield Check(f"{name} images", bool(with_objects(split)), text)
        if split.dropped:
            text = f"{len(split.dropped)} objects are left out: {'; '.join(split.dropped[:NAMED])}"
            yield Check(f"{name} images", False, text, needed=False)
    yield from (Check("data", False, note, needed=False) for note in data.notes)
    yield _decoding(data.val.images, ctx)
    yield _memory(resolved, ctx)
    solver = resolved.solver
    after = ", ".join(f"{at:,}" for at in solver.decay_at)
    yield Check(
        "plan",
        True,
        f"engine {resolved.engine}, {solver.iterations:,} iterations of {task.batch} images, learning rate "
        f"{solver.lr:g}, warm-up {solver.warmup:,}, decay after {after}",
    )


def _packages(task: DetectionTask) -> Iterator[Check]:
    from torchvision.ops import nms

    yield Check("torchvision", callable(nms), f"{_version('torchvision')}, with its compiled operations")
    yield Check("pycocotools", True, _version("pycocotools"))
    needed = task.engine == "detectron2"
    if importlib.util.find_spec("detectron2") is None:
        instead = "" if needed else "; the torchvision engine is used. "
        yield Check("detectron2", False, f"not installed{instead or '; '}to install: {INSTALL}", needed)
        return
    with warnings.catch_warnings():  # of its own imports, nothing a user can mend
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("detectron2._C")
        except ImportError as error:
            text = f"its compiled operations do not load ({error}); build it with this torch: {INSTALL}"
            yield Check("detectron2", False, text, task.engine != "torchvision")
            return
    yield Check("detectron2", True, f"{_version('detectron2')}, with its compiled operations")


def _decoding(images: FileImages, ctx: Context) -> Check:
    """Decode the test pictures, which a run reads only after its training."""
    faults = list(faulty(images, ctx, "test pictures").values())
    if not faults:
        return Check("test images", True, f"the pictures can be decoded ({_looked_at(len(images))})")
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return Check("test images", False, "; ".join(faults[:NAMED]) + more)


def _looked_at(pictures: int) -> str:
    """Say how many of so many pictures are decoded before a training."""
    return "all of them" if pictures <= ALL_PICTURES else f"{SAMPLE:,} of {pictures:,}"


def _memory(task: DetectionTask, ctx: Context) -> Check:
    """Compare a rough need with what there is."""
    area = max(task.train_sizes) * min(task.max_size, 1.52 * max(task.train_sizes)) / (800 * 1216)
    need = GIB_PER_IMAGE[task.head] * task.batch * area * max(0.3, task.roi_batch / 512)
    there = free_bytes(ctx.device) / 2**30
    text = (
        f"about {need:.0f} GiB for {task.batch} images at once with ResNet-50, {there:.0f} GiB free on "
        f"{ctx.device}; several processes (torchrun) share a batch, and a smaller one scales the schedule"
    )
    return Check("memory", need < there, text, needed=False)


def _version(package: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(package)


def command(tasks: Sequence[DetectionTask]) -> Callable[..., None]:
    """The `--check` command of a detection plug-in's tasks."""

    def main(
        check: Annotated[bool, typer.Option("--check", help="Say what is missing; start nothing.")] = False,
        task: Annotated[str, typer.Option(help="Which variant.")] = tasks[0].name,
        data: Annotated[Path, typer.Option(callback=home, help="Folder that holds the data.")] = Path("data"),
        settings: Annotated[list[str] | None, typer.Option("--set", help="field=value; repeatable.")] = None,
        device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    ) -> None:
        """Name what a detection task needs and this machine lacks.

        Exit code 0: it can run; 1: something is missing; 2: wrong usage.
        """
        if not check:
            typer.echo("to check: --check; to run: python -m hsa_bench.run --tasks " + task, err=True)
            raise typer.Exit(2)
        with exit_with_its_message():
            if fault := fault_of(device):
                raise UsageError(f"--device {device}: {fault}")
            chosen = _with(tasks, task, settings or [])
        bad = False
        for one in checks(chosen, Context(data_root=data, cache=data, device=device)):
            typer.echo(str(one))
            bad |= one.needed and not one.good
        raise typer.Exit(1 if bad else 0)

    return main


def _with(tasks: Sequence[DetectionTask], name: str, settings: Sequence[str]) -> DetectionTask:
    named = {task.name: task for task in tasks}
    if name not in named:
        raise UsageError(f"--task {name}: {did_you_mean(name, named)}")
    given = parse_settings(settings, "field=value")
    return changed(named[name], {field.rpartition(".")[2]: value for field, value in given.items()}, name)
