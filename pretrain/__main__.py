"""The command: `python -m pretrain --method hsa --arch resnet18-cifar --dataset cifar10 --out hsa.pth`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(  # noqa: PLR0913, PLR0917 (a command's option list)
    method: Annotated[str, typer.Option(help="hsa, moco or simclr.")],
    arch: Annotated[str, typer.Option(help="Architecture, e.g. resnet50 or resnet18-cifar.")],
    dataset: Annotated[str, typer.Option(help="Data set by name, or imagefolder:DIR.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the named data sets.")] = Path("data"),
    seed: Annotated[int, typer.Option(help="Of initialisation, order, augmentation.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="Draw N training images, class-balanced.")] = 0,
    image_size: Annotated[int, typer.Option(min=0, help="Side of the crops, px; 0: the data set's.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, e.g. lr=0.06; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda …")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 0,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard scalars.")] = None,
) -> None:
    """Pretrain a backbone; the same command goes on where an earlier one was stopped."""
    try:
        chosen = {**_parsed(settings or ()), "method": method, "epochs": epochs}
        from hsa_bench.core.changed_settings import changed
        from hsa_bench.core.open_dataset import open_dataset
        from hsa_bench.core.request import BackboneRequest
        from hsa_bench.core.task import Context
        from hsa_bench.core.views import eval_view
        from pretrain.export import budget, export
        from pretrain.loop import Training
        from pretrain.settings import Settings

        with _bar() as progress:
            ctx = Context(data_root=data, cache=out.parent, device=device, workers=workers, progress=progress)
            images = open_dataset(dataset, data).limited(limit or None)
            training = Training(
                settings=changed(Settings(), chosen, "pretrain"),
                backbone=BackboneRequest(label=method, arch=arch, init=seed).load(),
                images=images.train,
                view=eval_view(images, image_size),
                seed=seed,
                ctx=ctx,
                scalars=tensorboard,
            )
            resume = out.with_name(out.name + ".resume")
            training.run(resume)
        spent = budget(training, images.name)
        export(training, out, spent)
        resume.unlink(missing_ok=True)
    except (ValueError, FloatingPointError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    curves = ", ".join(f"{name} {curve[-1]:.2f}" for name, curve in training.progress.curves.items())
    typer.echo(f"{out}: {spent.images} images, {spent.views:g} views each, {spent.seconds:.0f} s; {curves}")


def _parsed(settings: Sequence[str]) -> dict[str, Any]:
    import yaml

    pairs = [text.partition("=") for text in settings]
    wrong = ["".join(pair) for pair in pairs if not pair[1]]
    if wrong:
        raise ValueError(f"--set {wrong[0]}: write field=value, for example lr=0.06")
    return {name: yaml.safe_load(value) for name, _, value in pairs}


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar with images' steps and time left; nothing where there is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("starting", total=None)

        def progress(description: str, done: int, total: int) -> None:
            if total > 1:
                bars.update(bar, description=description, completed=done, total=total)
            else:
                bars.update(bar, description=description)

        yield progress


if __name__ == "__main__":
    app()
