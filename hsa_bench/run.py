"""The command: `python -m hsa_bench.run --tasks linear,semisup,coco --checkpoint mine=mine.pth`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsa_bench.core.commands.command import Command, home
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.commands.stopping import stopped_with_a_word
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.bounds import MOST_SIDE, MOST_WORKERS
from hsa_bench.suite.job import Job
from hsa_bench.suite.make_job import DEMO, make_job, presets
from hsa_bench.suite.open_bench import open_bench
from hsa_bench.suite.options import (
    parse_checkpoint,
    parse_drop,
    parse_numbers,
    parse_pretraining_seeds,
    words,
)

if TYPE_CHECKING:
    from hsa_bench.core.runs.execute import Bench

app = Command()


@app.command()
def main(  # noqa: PLR0913, PLR0917 (a command's option list)
    tasks: Annotated[str, typer.Option(help="Comma-separated task names; see --list.")] = "",
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH of a backbone, or NAME=timm:…, torchvision:…, hf:ORG/…; repeatable."),
    ] = None,
    arch: Annotated[
        str, typer.Option(help="Architecture, if the tensors do not tell; or my_lab.nets:build.")
    ] = "",
    file_format: Annotated[
        str, typer.Option("--format", help="Checkpoint format, if not recognised; or NAME=format,….")
    ] = "",
    branch: Annotated[str, typer.Option(help="Network of the file: key, teacher …; or NAME=branch,….")] = "",
    head: Annotated[
        str,
        typer.Option(
            help="Of a module of one's own that ends in a classifier: drop it, or keep; or NAME=drop,…."
        ),
    ] = "",
    drop: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out tensors beside the trunk whose names begin so, e.g. linear.; or NAME=linear.."
        ),
    ] = None,
    card: Annotated[
        list[str] | None,
        typer.Option(help="field=value or NAME.field=value of mean, std, channels, value_range, tokens."),
    ] = None,
    dataset: Annotated[str, typer.Option(help="Data set by name, or imagefolder:DIR.")] = "",
    data: Annotated[Path, typer.Option(callback=home, help="Folder that holds the named data sets.")] = Path(
        "data"
    ),
    image_size: Annotated[
        int, typer.Option(min=0, max=MOST_SIDE, help="Side of the crops, px; 0: the data set's.")
    ] = 0,
    baseline: Annotated[
        str,
        typer.Option(help="Backbones to compare with, by commas; default: moco and simclr, else the first."),
    ] = "",
    claim: Annotated[
        list[str] | None,
        typer.Option(help="NAME=moco-v2-200: the published pretraining a file is said to be; repeatable."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated evaluation seeds.")] = "",
    pretrain_seed: Annotated[
        list[str] | None,
        typer.Option(help="NAME=0,1: the files of that name are pretrainings of these seeds; repeatable."),
    ] = None,
    preset: Annotated[str, typer.Option(help="A preset's name, or a YAML file; see --list.")] = "",
    trust: Annotated[
        bool, typer.Option("--trust-preset", help="Let the preset name Python code, which then runs.")
    ] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="task.field=value; repeatable.")] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Draw N train and N test images: a quick look, never a result.")
    ] = 0,
    out: Annotated[Path, typer.Option(callback=home, help="Folder for results, cache and report.")] = Path(
        "runs/default"
    ),
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1 …; auto: cuda if there is any, else cpu.")
    ] = "auto",
    workers: Annotated[int, typer.Option(min=0, max=MOST_WORKERS, help="Loader processes.")] = 0,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile networks (torch.compile): pays on many images. Of a frozen one in bfloat16 this is "
            "a precision of its own, with results of its own.",
        ),
    ] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="List tasks, methods, data sets, formats, presets.")
    ] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Run runs again that are on file.")] = False,
    timeout: Annotated[
        str,
        typer.Option(help="End a run that takes longer, e.g. 90m or 2h, as failed; the next one goes on."),
    ] = "",
) -> None:
    """Measure how well self-supervised backbones transfer, and write a comparison report.

    With none of --checkpoint, --arch, --dataset and --preset, the demo runs: it pretrains HSA, MoCo v2 and
    SimCLR for a few minutes on data that ships with scikit-learn, and evaluates them.

    Exit code 0: every run has a number or is skipped with a reason; 1: some run failed; 2: wrong usage.
    """
    if list_all:
        _list()
        return
    with stopped_with_a_word(), exit_with_its_message(out=out):
        from hsa_bench.core.models.preprocess import parse_card
        from reports.published.entries import parse_claims

        if trust and not preset:
            raise UsageError("--trust-preset: it changes nothing, as there is no --preset; leave it out")
        if tasks and not words(tasks):
            raise UsageError(f"--tasks {tasks}: names no task; see --list")
        given: dict[str, Any] = {
            "tasks": words(tasks),
            "checkpoints": tuple(parse_checkpoint(text) for text in checkpoint or ()),
            "arch": arch,
            "file_format": file_format,
            "branch": branch,
            "head": head,
            "drop": parse_drop(drop or []),
            "card": parse_card(card or []),
            "dataset": dataset,
            "image_size": image_size,
            "baseline": baseline,
            "claims": parse_claims(claim or []),
            "pretraining_seeds": parse_pretraining_seeds(pretrain_seed or []),
            "seeds": parse_numbers(seeds, "--seeds") if seeds else (),
            "limit": limit,
            "timeout": timeout,
        }
        job = make_job(preset, {k: v for k, v in given.items() if v}, settings or [], trust)
        if not preset and job.preset == DEMO:
            typer.echo("nothing to evaluate was named, so this is the demo preset (--preset demo)")
        ok = _run(job, open_bench(out, data, device, workers, compiled), dry, overwrite)
    raise typer.Exit(0 if ok else 1)


def _run(job: Job, bench: Bench, dry: bool, overwrite: bool) -> bool:
    """Run the job and write the report; return whether all runs came out."""
    import io
    import sys

    from rich.console import Console

    from hsa_bench.core.processes import leave, rank
    from hsa_bench.suite.display import Display
    from hsa_bench.suite.dry_run import dry_run
    from hsa_bench.suite.leave_report import leave_report
    from hsa_bench.suite.open_bench import at_work
    from hsa_bench.suite.suite import run_suite

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log shows each run as it ends
    with Display(Console(quiet=rank() > 0)) as display:
        if dry:
            dry_run(job, bench, display, overwrite)
            return True
        with at_work(bench, display.say):
            ok = run_suite(job, bench, display, overwrite)
            first = rank() == 0
            leave()
            if not first:
                return ok
            with display.busy("writing the report"):
                said, written = leave_report(bench.store.out)
    typer.echo(said)
    return ok and written


def _list() -> None:
    from hsa_bench.core import registry

    for title, package in (
        ("tasks", "eval_tasks"),
        ("pretraining methods", "pretrain.methods"),
        ("data sets", "hsa_bench.core.data.datasets"),
        ("checkpoint formats", "hsa_bench.core.checkpoints.formats"),
    ):
        typer.echo(f"{title}:")
        for name, path in registry.files(package).items():
            typer.echo(f"  {name:16} {registry.summary(path)}")
            variants = [n for n in registry.declared(path) if n != name]
            if variants:
                typer.echo(f"  {'':16} ({', '.join(variants)})")
    typer.echo(f"presets:\n  {', '.join(presets())}")


if __name__ == "__main__":
    app()
