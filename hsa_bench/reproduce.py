"""The command `python -m hsa_bench.reproduce cifar10`: tune all methods alike, or branch, then report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsa_bench.core.commands.command import Command, home
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.commands.stopping import stopped_with_a_word
from hsa_bench.core.errors import UsageError
from hsa_bench.core.files import write_text
from hsa_bench.core.input.bounds import MOST_WORKERS
from hsa_bench.suite.job import Job
from hsa_bench.suite.open_bench import at_work, open_bench

if TYPE_CHECKING:
    from hsa_bench.core.results.result import TaskResult
    from hsa_bench.core.runs.execute import Bench
    from hsa_bench.suite.ablation import Ablation
    from hsa_bench.suite.branching import Branching

app = Command()


@app.command()
def main(
    ablation: Annotated[str, typer.Argument(help="A name, or a YAML file like hsa_bench/ablations/*.yaml.")],
    out: Annotated[
        Path, typer.Option(callback=home, help="Folder for final/, and tuning/ or states/.")
    ] = Path("runs/reproduce"),
    data: Annotated[Path, typer.Option(callback=home, help="Folder that holds the named data sets.")] = Path(
        "data"
    ),
    device: Annotated[str, typer.Option(help="cpu, cuda …; auto: cuda if there is any, else cpu.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, max=MOST_WORKERS, help="Loader processes.")] = 0,
    jobs: Annotated[
        int, typer.Option(min=1, max=MOST_WORKERS, help="Runs done at the same time, e.g. one a core.")
    ] = 1,
    trust: Annotated[
        bool, typer.Option("--trust-preset", help="Let the YAML file name Python code, which then runs.")
    ] = False,
) -> None:
    """Tune, choose, compare, report; or train a common start, its branches, compare, report.

    Killed at any point, the same command goes on where it was. The test pictures are used once, after
    everything is chosen.
    """
    with stopped_with_a_word(), exit_with_its_message(out=out):
        from hsa_bench.suite.branching import Branching
        from hsa_bench.suite.read_ablation import read_ablation

        file = read_ablation(ablation, trust)
        benches = _Benches(out, data, device, workers, jobs)
        ok = _branch(file, benches) if isinstance(file, Branching) else _tune_and_compare(file, benches)
    raise typer.Exit(0 if ok else 1)


@dataclass(frozen=True)
class _Benches:
    """Where the parts of an ablation are done."""

    out: Path
    data: Path
    device: str
    workers: int
    jobs: int

    @contextmanager
    def at(self, part: str) -> Iterator[Bench]:
        """Work in the folder of a part."""
        bench = replace(open_bench(self.out / part, self.data, self.device, self.workers), jobs=self.jobs)
        with at_work(bench, typer.echo):
            yield bench


def _tune_and_compare(ablation: Ablation, benches: _Benches) -> bool:
    from hsa_bench.suite.ablation import chosen, final_job, flops_per_epoch, in_words, tuning_job

    with benches.at("tuning") as first, benches.at("final") as last:
        typer.echo("tuning: the same trials for every method")
        _run(tuning_job(ablation), first)
        results = _results(first)
        with _reported(first):
            best = chosen(ablation, results)
        tuned = in_words(best, ablation.tuning.epochs)
        settings = {row: trial.settings for row, trial in best.items()}
        write_text(benches.out / "chosen.json", json.dumps(settings, indent=1) + "\n")
        typer.echo(f"{tuned}\ncomparison")
        ok = _run(final_job(ablation, best, flops_per_epoch(ablation, results), tuned), last)
        return all([ok, _report(first), _report(last)])


def _branch(ablation: Branching, benches: _Benches) -> bool:
    from hsa_bench.suite.start_states import lay_out_states

    with benches.at("final") as bench:
        typer.echo("common start")
        _run(ablation.start_job(), bench)
        states, lost = lay_out_states(ablation.seeds, _results(bench), bench.store, benches.out / "states")
        if lost:
            typer.echo(f"no branch begins: {lost}; the same command tries again")
            return _report(bench) and False
        typer.echo("branches")
        ok = _run(ablation.branch_job(states), bench)
        if ablation.longer is not None:
            with _reported(bench):
                longer = ablation.longer_epochs(_results(bench))
            typer.echo(f"equal compute: {', '.join(f'{row} for {n} epochs' for row, n in longer.items())}")
            ok = _run(ablation.branch_job(states, longer), bench)
        return all([ok, _report(bench)])


@contextmanager
def _reported(bench: Bench) -> Iterator[None]:
    """Leave the report of what there is, and why the rest failed, before an error ends the command."""
    try:
        yield
    except UsageError:
        _report(bench)
        raise


def _report(bench: Bench) -> bool:
    from hsa_bench.suite.leave_report import leave_report

    said, written = leave_report(bench.store.out)
    typer.echo(said)
    return written


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
