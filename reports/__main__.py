"""The command: `python -m reports RESULTS` rebuilds a report; compare, merge, list, schema. No torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hsa_bench.core.commands.command import Command, home, home_file, homes
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.errors import UsageError
from hsa_bench.core.printable import printable

WRITE = "write"


class _Commands(TyperGroup):
    """What is not a command's name is a folder to write the report of."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {*self.commands, "--help"}
        return super().parse_args(ctx, args if not args or args[0] in known else [WRITE, *args])


app = Command(
    cls=_Commands,
    no_args_is_help=True,
    help="Reports from result files, without torch. `reports RESULTS` is short for `reports write RESULTS`.",
)

RunFolder = Annotated[
    Path, typer.Argument(callback=home, help="The --out folder of a run, or its results/ folder.")
]


@app.command(WRITE)
def write(
    results: RunFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            callback=home_file,
            help="Markdown file; by default report.md in the run folder.",
        ),
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="Backbones to compare with, by commas, instead of the run's.")
    ] = "",
    claim: Annotated[
        list[str] | None,
        typer.Option(help="NAME=moco-v2-200: the published pretraining a file is said to be; repeatable."),
    ] = None,
) -> None:
    """Write report.md, report.html, results.csv, figures/ and tables/ from the result files of a run."""
    with exit_with_its_message(OSError):
        from reports.published.entries import parse_claims
        from reports.run_folder.collected import locate

        out, claims = locate(results), parse_claims(claim or [])
        from reports.report import write_report  # only now: it loads pandas and matplotlib

        chosen = [part.strip() for part in baseline.split(",") if part.strip()]
        report = write_report(out, output, chosen, claims)
        typer.echo(f"report: {report}, {report.with_suffix('.html')}")


@app.command()
def compare(
    first: RunFolder,
    second: RunFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            callback=home_file,
            help="File to write; .md, .csv, .tex or .html. Default: the screen.",
        ),
    ] = None,
) -> None:
    """Set each number of the second run against the same backbone's and task's in the first."""
    with exit_with_its_message(OSError):
        from reports.run_folder.collected import collect, locate

        runs = [collect(locate(run)) for run in (first, second)]
        from reports.compare_runs import across_table

        _put(across_table(*runs), output, f"{second.name} against {first.name}")


@app.command()
def merge(
    runs: Annotated[list[Path], typer.Argument(callback=homes, help="Run folders of several machines.")],
    output: Annotated[Path, typer.Option("-o", "--output", callback=home, help="Folder of the merged run.")],
) -> None:
    """Copy the results of several run folders into one. Exit code 1: some contradict each other."""
    with exit_with_its_message(OSError):
        from reports.run_folder.collected import locate
        from reports.run_folder.merge import merge as merged

        done = merged([locate(run) for run in runs], output)
    for text in (*done.remarks, *(f"conflict: {text}" for text in done.conflicts)):
        typer.echo(printable(text), err=True)
    also = f", {done.same} in several" if done.same else ""
    typer.echo(f"{output}: {done.copied} results copied{also}; python -m reports {output}")
    raise typer.Exit(1 if done.conflicts else 0)


@app.command()
def keep(
    run: RunFolder,
    output: Annotated[
        Path, typer.Option("-o", "--output", callback=home, help="Folder that is replaced by the report.")
    ],
    baseline: Annotated[
        str, typer.Option(help="Backbones to compare with, by commas, instead of the run's.")
    ] = "",
) -> None:
    """Keep a report for a repository: text and figures, without links into the run and its machine."""
    with exit_with_its_message(OSError):
        from reports.run_folder.collected import locate

        out = locate(run)
        from reports.keep import keep_report

        keep_report(out, output, [part.strip() for part in baseline.split(",") if part.strip()])
    typer.echo(f"kept: {output}")


@app.command("list")
def list_results(
    folder: Annotated[Path, typer.Argument(callback=home, help="A run folder, or a folder of them.")] = Path(
        "runs"
    ),
) -> None:
    """List the runs below a folder, or the results of one run."""
    with exit_with_its_message(OSError):
        from reports.run_folder.listing import listing

        for line in listing(folder):
            typer.echo(printable(line))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a result file (docs/results.md)."""
    from reports.run_folder.schema import result_schema

    with exit_with_its_message(OSError):
        typer.echo(result_schema(), nl=False)
        sys.stdout.flush()


def _put(table: Any, output: Path | None, title: str) -> None:
    from hsa_bench.core.files import write_text

    if output is None:
        typer.echo(table.markdown())
        return
    if output.suffix == ".html":
        from reports.writing.html import page

        text = page(f"# {title}\n\n{table.markdown()}\n", output.parent, title)
    else:
        forms = {".csv": table.csv, ".tex": lambda: table.latex(title), ".md": table.markdown}
        if output.suffix not in forms:
            raise UsageError(f"{output}: give a file that ends in .md, .csv, .tex or .html")
        text = forms[output.suffix]().rstrip("\n") + "\n"
    write_text(output, text)
    typer.echo(f"written: {output}")


if __name__ == "__main__":
    app()
