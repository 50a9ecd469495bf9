"""The command: `python -m reports RESULTS -o report.md` rebuilds a report, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(
    results: Annotated[Path, typer.Argument(help="The --out folder of a run, or its results/ folder.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Markdown file; by default report.md in the run folder."),
    ] = None,
    baseline: Annotated[str, typer.Option(help="Backbone to compare with instead of the run's.")] = "",
) -> None:
    """Write report.md, results.csv and figures/ from the result files of a run."""
    from reports.frame import locate

    try:
        out = locate(results)
        from reports.markdown import write_report  # only now: it loads matplotlib

        report = write_report(out, output, baseline)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"report: {report}")


if __name__ == "__main__":
    app()
