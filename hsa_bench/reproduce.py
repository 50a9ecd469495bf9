"""The command `python -m hsa_bench.reproduce cifar10`: tune every method alike, compare, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsa_bench.core.commands.command import Command, home
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.commands.stopping import stopped_with_a_word
from hsa_bench.core.files import write_text
from hsa_bench.core.input.bounds import MOST_WORKERS
from hsa_bench.suite.job import Job
from hsa_bench.suite.open_bench import at_work, open_bench

if TYPE_CHECKING:
    from hsa_bench.core.results.result import TaskResult
    from hsa_bench.core.runs.execute import Bench
    from hsa_bench.suite.ablation import Ablation

app = Command()


@app.command()
def main(
    ablation: Annotated[str, typer.Argument(help="A name, or a YAML file like hsa_bench/ablations/*.yaml.")],
    out: Annotated[Path, typer.Option(callback=home, help="Folder for tuning/ and final/.")] = Path(
        "runs/reproduce"
    ),
    data: Annotated[Path, typer.Option(callback=home, help="Folder that holds the named data sets.")] = Path(
        "data"
    ),
    device: Annotated[str, typer.Option(help="cpu, cuda …; auto: cuda if there is any, else cpu.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, max=MOST_WORKERS, help="Loader processes.")] = 0,
    trust: Annotated[
        bool, typer.Option("--trust-preset", help="Let the YAML file name Python code, which then runs.")
    ] = False,
) -> None:
    """Tune, choose, compare, report. Killed at any point, the same command goes on where it was.

    The test pictures are used once, after everything is chosen.
    """
    with stopped_with_a_word(), exit_with_its_message(out=out):
        from hsa_bench.suite.ablation import read_ablation

        ok = _reproduce(read_ablation(ablation, trust), out, data, device, workers)
    raise typer.Exit(0 if ok else 1)


def _reproduce(ablation: Ablation, out: Path, data: Path, device: str, workers: int) -> bool:
    first, last = (open_bench(out / part, data, device, workers) for part in ("tuning", "final"))
    with at_work(first, typer.echo), at_work(last, typer.echo):
        return _tune_and_compare(ablation, first, last, out)


def _tune_and_compare(ablation: Ablation, first: Bench, last: Bench, out: Path) -> bool:
    from hsa_bench.suite.ablation import chosen, final_job, flops_per_epoch, in_words, tuning_job
    from hsa_bench.suite.leave_report import leave_report

    typer.echo("tuning: the same trials for every method")
    _run(tuning_job(ablation), first)
    results = _results(first)
    best = chosen(ablation, results)
    tuned = in_words(best, ablation.tuning.epochs)
    write_text(out / "chosen.json", json.dumps({row: t.settings for row, t in best.items()}, indent=1) + "\n")
    typer.echo(f"{tuned}\ncomparison")
    ok = _run(final_job(ablation, best, flops_per_epoch(ablation, results), tuned), last)
    for bench in (first, last):
        said, written = leave_report(bench.store.out)
        typer.echo(said)
        ok = ok and written
    return ok


def _run(job: Job, bench: Bench) -> bool:
    from rich.console import Console

    from hsa_bench.suite.display import Display
    from hsa_bench.suite.suite import run_suite

    with Display(Console()) as display:
        return run_suite(job, bench, display)


def _results(bench: Bench) -> list[TaskResult]:
    """The plan's results, and none that an earlier plan left."""
    from reports.run_folder.collected import collect

    return list(collect(bench.store.out).results)


if __name__ == "__main__":
    app()
