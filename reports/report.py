"""Write a report: Markdown and HTML, with figures, and every table as CSV and LaTeX beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hsa_bench.core.errors import UsageError
from hsa_bench.core.results.row_names import usual_baselines
from reports.figures import draw_all, place_artefacts
from reports.markdown import PUBLISHED_FILE, render, tables
from reports.published.beside import anchors
from reports.published.entries import named_claims
from reports.published.orientation import all_entries
from reports.run_folder.collected import PRETRAINING, Collected, collect
from reports.run_folder.frame import tidy
from reports.run_folder.grid import lay_out
from reports.sections.breakdown import class_table
from reports.sections.checks import Evidence
from reports.sections.transfer import KNN, LINEAR
from reports.statistics.cache import Cache
from reports.statistics.comparison import compare
from reports.statistics.designed import answers
from reports.writing.file_name import file_stem
from reports.writing.formula import disarmed_frame
from reports.writing.html import page
from reports.writing.table import Table, one_line
from reports.writing.unwritten import Unwritten

CAPTIONS = {
    "results": "Main metric of each task, percent, mean and standard deviation over repeated runs. "
    "Bold: ahead of every other baseline, Holm-adjusted p < 0.05.",
    LINEAR: "Transfer to other data sets by a linear classifier on frozen features, percent. "
    "Bold: ahead of every other baseline, Holm-adjusted p < 0.05. "
    "The average is over all data sets or not given.",
    KNN: "Transfer to other data sets by a kNN vote on frozen features, percent.",
    "pairs of the design": "Differences of rows that start from the same states, percentage points; "
    "a verdict from the interval over pretrainings alone.",
    "statistics": "Differences in percentage points with 95 % intervals, unadjusted, and tests.",
    "cost": "Wall time, peak memory and speed.",
    "features shared": "Extractions that backbones shared, in no run's time above.",
    "pretraining budget": "What each pretraining cost.",
}


def write_report(
    out: Path,
    report: Path | None = None,
    baselines: Sequence[str] = (),
    claims: Mapping[str, str] | None = None,
    unwritten: Unwritten | None = None,
) -> Path:
    """Write the report of a run folder.

    Args:
        out: The run folder, with `results/` and, where a run left it, `plan.json`.
        report: The Markdown file; `report.md` in the run folder if None. The same as a page (`.html`),
            `results.csv`, `figures/` and `tables/` are written beside it.
        baselines: Labels to compare with instead of the plan's.
        claims: Published pretrainings that files are said to be, by label, beside the plan's.
        unwritten: Takes note of what cannot be written, e.g. on a full disk; the rest is.

    Returns:
        The Markdown file.

    Raises:
        UsageError: No such baseline or backbone, or a report that the page would overwrite; without
            `unwritten`, after all the rest, that something could not be written.
    """
    missing = unwritten or Unwritten()
    report = report or out / "report.md"
    if report.suffix == ".html":
        raise UsageError(f"{report}: the page is written beside the Markdown file; give its name, .md")
    collected = collect(out)
    cache = Cache.of(out)
    evidence = examine(collected, baselines, cache, claims)
    grid = evidence.grid
    classes = {
        column: table for column in grid.columns if (table := class_table(grid, column, collected, cache))
    }
    root = _seen_from(report.parent, out)
    found = tables(evidence, classes, root)
    figures = draw_all(collected, grid, evidence.comparison, evidence.controls, report, missing)
    text = render(evidence, found, classes, figures, place_artefacts(collected, report, missing), root)
    missing.write(
        report.with_name("results.csv"), disarmed_frame(tidy(collected.results)).to_csv(index=False)
    )
    _write_tables(report.parent / "tables", found, missing)
    missing.write(report.with_name(PUBLISHED_FILE.partition("/")[0]) / "published.csv", all_entries().csv())
    missing.write(report, text)
    title = collected.plan.title if collected.plan else "Transfer evaluation"
    missing.write(report.with_suffix(".html"), page(text, report.parent, one_line(title)))
    cache.save()
    if unwritten is None and missing.faults:
        raise UsageError(missing.sentence(report))
    return report


def examine(
    collected: Collected,
    baselines: Sequence[str],
    cache: Cache,
    claims: Mapping[str, str] | None = None,
) -> Evidence:
    """Lay results out, compare and check them.

    Raises:
        UsageError: No such baseline.
    """
    grid = lay_out(collected)
    known = list(dict.fromkeys(grid.row_labels.values()))
    for label in baselines:
        if label not in known:
            raise UsageError(f"baseline {label}: no such backbone; there are {', '.join(known)}")
    controls = control_labels(collected)
    backbones = [label for label in known if label not in controls]
    planned = collected.plan.baselines if collected.plan else ()
    chosen = tuple(baselines) or planned or usual_baselines(backbones, [c for c in known if c in controls])
    comparison = compare(collected, grid, chosen, controls, cache)
    claimed = {**(collected.plan.claims if collected.plan else {}), **named_claims(claims or {}, backbones)}
    return Evidence(
        collected,
        grid,
        comparison,
        anchors(collected, grid, claimed),
        controls,
        answers(collected, grid),
    )


def control_labels(collected: Collected) -> list[str]:
    """Labels of untrained networks and raw pixels. A pretraining starts at random, too, but is none."""
    evaluated = (r for r in collected.results if r.spec.task != PRETRAINING)
    found = {r.label for r in evaluated if r.source.format == "control"}
    return sorted(found | set(collected.plan.controls if collected.plan else ()))


def _write_tables(folder: Path, found: Mapping[str, Table], missing: Unwritten) -> None:
    taken: set[str] = set()
    for name, table in found.items():
        stem = file_stem(name, taken)
        missing.write(folder / f"{stem}.csv", table.csv())
        missing.write(folder / f"{stem}.tex", table.latex(CAPTIONS.get(name, f"{name.capitalize()}.")))


def _seen_from(folder: Path, out: Path) -> str:
    """The run folder relative to the report's, for links: "" or ending in a slash."""
    way = os.path.relpath(out, folder).replace(os.sep, "/")
    return "" if way == "." else f"{way}/"
