"""The command: `python -m pretrain --preset hsa-cifar10 --data /data --out hsa.pth`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsa_bench.core.commands.command import Command, home, home_file
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.commands.stopping import stopped_with_a_word
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.bounds import MOST, MOST_SIDE, MOST_WORKERS
from hsa_bench.core.input.name_value import parse_settings
from pretrain.preset import Preset, read_preset, text

if TYPE_CHECKING:
    from hsa_bench.core.results.result import Budget
    from pretrain.loop import Training

app = Command()

NO_PRESET = Preset()


@app.command()
def main(  # noqa: PLR0913, PLR0917 (a command's option list)
    preset: Annotated[str, typer.Option(help="A preset's name or file; other options go over it.")] = "",
    trust: Annotated[
        bool, typer.Option("--trust-preset", help="Let the preset name Python code, which then runs.")
    ] = False,
    show: Annotated[bool, typer.Option("--print", help="Print the preset and stop.")] = False,
    method: Annotated[str, typer.Option(help="hsa, moco or simclr.")] = "",
    arch: Annotated[str, typer.Option(help="Architecture, e.g. resnet50 or resnet18-cifar.")] = "",
    dataset: Annotated[str, typer.Option(help="Data set by name, or imagefolder:DIR.")] = "",
    epochs: Annotated[int, typer.Option(min=0, help="Passes over the training images.")] = 0,
    out: Annotated[Path | None, typer.Option(callback=home_file, help="The checkpoint to write.")] = None,
    data: Annotated[Path, typer.Option(callback=home, help="Folder that holds the named data sets.")] = Path(
        "data"
    ),
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of initialisation, order, augmentation.")
    ] = 0,
    limit: Annotated[int, typer.Option(min=0, max=MOST, help="Draw N training images, class-balanced.")] = 0,
    image_size: Annotated[
        int, typer.Option(min=0, max=MOST_SIDE, help="Side of the crops, px; 0: the data set's.")
    ] = 0,
    init: Annotated[
        str, typer.Option(help="Checkpoint whose weights all encoders begin with; heads as usual.")
    ] = "",
    start_from: Annotated[
        str,
        typer.Option(
            help="Whole state of another training, also by another method, to begin with, as --set "
            "keep_state=true leaves it: NAME.state.pth. What both have is taken; epochs and rate begin anew."
        ),
    ] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, e.g. lr=0.06; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda …")] = "cpu",
    workers: Annotated[
        int, typer.Option(min=0, max=MOST_WORKERS, help="Loader processes, for each process.")
    ] = 0,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Compile the encoders (torch.compile); it changes rounding alone."),
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(callback=home, help="Folder for TensorBoard scalars.")
    ] = None,
) -> None:
    """Pretrain a backbone; the same command goes on where an earlier one was stopped.

    Several processes, as torchrun or Slurm start them, share each batch.
    """
    with stopped_with_a_word(), exit_with_its_message(FloatingPointError, OSError):
        if show and (method or arch or dataset or epochs or out or settings or init or start_from):
            raise UsageError("--print shows a preset as its file has it; leave the other options out")
        if trust and not preset:
            raise UsageError("--trust-preset: it changes nothing, as there is no --preset; leave it out")
        if show:
            typer.echo(text(preset), nl=False)
            return
        base = read_preset(preset, trust) if preset else NO_PRESET
        given = {**base.settings, **parse_settings(settings or (), "field=value, for example lr=0.06")}
        options = {"method": method, "epochs": epochs, "init": init, "start_from": start_from}
        given |= {name: value for name, value in options.items() if value}
        required = {
            "--method": given.get("method"),
            "--arch": arch or base.arch or given.get("init") or given.get("start_from"),  # whose file tells
            "--dataset": dataset or base.dataset,
            "--epochs": given.get("epochs"),
            "--out": out,
        }
        if missing := [option for option, value in required.items() if not value]:
            raise UsageError(f"{', '.join(missing)}: needed, or a --preset that says so")
        assert out is not None
        from hsa_bench.core.checkpoints.request import BackboneRequest
        from hsa_bench.core.context import Context
        from hsa_bench.core.data.manifest import keep_in
        from hsa_bench.core.data.open import open_dataset
        from hsa_bench.core.data.views import eval_view
        from hsa_bench.core.input.settings import changed
        from pretrain.export import check_destination
        from pretrain.loop import Training
        from pretrain.settings import Settings
        from pretrain.start import open_start

        check_destination(out)
        with _bar() as (progress, say):
            ctx = Context(
                data, out.parent, device=device, workers=workers, compile=compiled, progress=progress, say=say
            )
            keep_in(out.parent / "cache")
            begin = open_start(
                given,
                BackboneRequest(label="pretrained", arch=arch or base.arch, init=seed),
                {"init": "--init", "start_from": "--start-from"},
            )
            images = open_dataset(str(required["--dataset"]), data).limited(limit or None)
            training = Training(
                settings=changed(Settings(), begin.settings, "pretrain"),
                backbone=begin.backbone,
                images=images.train,
                view=eval_view(images, image_size or base.image_size),
                seed=seed,
                ctx=ctx,
                scalars=tensorboard,
                say=say,
            )
            spent = _finished(training, images.name, out, say)
    if spent is not None:
        cost = f"{spent.images:,} images, {spent.views:g} views each, {spent.flops:.3g} FLOPs"
        typer.echo(f"{out}: {cost}, {spent.seconds:,.0f} s; {training.progress.latest}")


def _finished(training: Training, dataset: str, out: Path, say: Callable[[str], None]) -> Budget | None:
    """Train to the end while nobody else writes the file, if it does not hold this training already."""
    from hsa_bench.core.runs.folder_lock import held_by_first, working_on
    from pretrain.export import finish, holds_training
    from pretrain.progress import check_writable

    resume = out.with_name(out.name + ".resume")
    check_writable(out)
    with held_by_first(working_on(out, say)):
        if not resume.exists() and holds_training(training, out):
            say(f"{out}: holds this training already; nothing to do")
            return None
        return finish(training, dataset, out, resume)


@contextmanager
def _bar() -> Iterator[tuple[Callable[[str, int, int], None], Callable[[str], None]]]:
    """A progress bar with time left, and a way to say something above it; the bar needs a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    first = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
    with Progress(console=console, transient=True, disable=not (console.is_terminal and first)) as bars:
        bar = bars.add_task("starting", total=None)

        def progress(description: str, done: int, total: int) -> None:
            if total > 1:
                bars.update(bar, description=description, completed=done, total=total)
            else:
                bars.update(bar, description=description)

        def say(text: str) -> None:
            typer.echo(text, err=True)

        yield progress, say


if __name__ == "__main__":
    app()
