"""The report in Markdown, with results.csv and figures beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hsa_bench.core.store import write_text
from reports.backbones import backbone_table, budget_table, pretraining_table, pretrainings
from reports.bootstrap import CLASSIFICATION_DRAWS, DETECTION_DRAWS
from reports.compare import Comparison, compare
from reports.figures import draw_comparison, draw_pretraining, place_artefacts
from reports.frame import PRETRAINING, Collected, collect, tidy
from reports.grid import Grid, lay_out
from reports.notes import notes
from reports.provenance import commit, hardware, provenance_table
from reports.published import published_table
from reports.sections import sections
from reports.table import MISSING, Table, code, plain
from reports.tables import cost_table, main_table

TEMPLATES = Path(__file__).with_name("templates")


def write_report(out: Path, report: Path | None = None, baseline: str = "") -> Path:
    """Write the report of a run folder.

    Args:
        out: The run folder, with `results/` and, where a run left it, `plan.json`.
        report: The Markdown file; `report.md` in the run folder if None. `results.csv` and `figures/` are
            written beside it.
        baseline: Label to compare with instead of the plan's.

    Returns:
        The Markdown file.

    Raises:
        ValueError: No such baseline.
    """
    report = report or out / "report.md"
    collected = collect(out)
    grid = lay_out(collected)
    known = list(dict.fromkeys(grid.row_labels.values()))
    if baseline and baseline not in known:
        raise ValueError(f"baseline {baseline}: no such backbone; there are {', '.join(known)}")
    comparison = compare(collected, grid, baseline or (collected.plan.baseline if collected.plan else ""))
    write_text(report.with_name("results.csv"), tidy(collected.results).to_csv(index=False))
    write_text(report, _render(_content(collected, grid, comparison, report)))
    return report


def _content(collected: Collected, grid: Grid, comparison: Comparison, report: Path) -> dict[str, Any]:
    """Everything the template shows; the figures are drawn on the way."""
    plan, results = collected.plan, collected.results
    # A pretraining starts from random weights, too, but its label is no control.
    evaluated = [r for r in results if r.spec.task != PRETRAINING]
    found = {r.label for r in evaluated if r.source.format == "control"}
    controls = sorted(found | set(plan.controls if plan else ()))
    pretrained = pretrainings(collected)
    return {
        "title": plain(plan.title if plan and plan.title else "Transfer evaluation"),
        "limited": _limited(collected),
        "header": _header(collected).markdown(),
        "draws": {"classification": f"{CLASSIFICATION_DRAWS:,}", "detection": f"{DETECTION_DRAWS:,}"},
        "baseline": plain(comparison.baseline),
        "main": main_table(grid, comparison).markdown(),
        "comparison": draw_comparison(grid, comparison, controls, report),
        "notes": notes(collected, grid, comparison),
        "sections": sections(grid, comparison),
        "pictures": place_artefacts(collected, report),
        "backbones": backbone_table(grid, collected.out).markdown(),
        "budgets": budget_table(grid, controls).markdown(),
        "pretrainings": pretraining_table(pretrained).markdown() if pretrained else "",
        "pretraining": PRETRAINING,
        "recipes": tuple(dict.fromkeys(f"{plain(r.label)}: {plain(r.protocol)}" for r in pretrained)),
        "curves": draw_pretraining(pretrained, report),
        "costs": cost_table(grid).markdown(),
        "published": published_table().markdown(),
        "provenance": provenance_table(results).markdown(),
    }


def _header(collected: Collected) -> Table:
    """The facts a reader wants first."""
    plan, origins = collected.plan, [result.provenance for result in collected.results]
    facts = {
        "preset": [plain(plan.preset)] if plan and plan.preset else [],
        "data": [plain(result.spec.data.name) for result in collected.results],
        "images": ["limited, see the notes" if _limited(collected) else "all"],
        "version": [f"hsa_bench {plain(origin.version)}" for origin in origins],
        "commit": [commit(origin) for origin in origins],
        "hardware": [hardware(origin) for origin in origins],
        "command": [code(plan.command)] if plan else [code(origin.command) for origin in origins],
    }
    rows = tuple((name, "; ".join(dict.fromkeys(values)) or MISSING) for name, values in facts.items())
    return Table(("this report", ""), rows, frozenset({""}))


def _limited(collected: Collected) -> bool:
    planned = collected.plan is not None and collected.plan.limited
    return planned or any(result.spec.limit is not None for result in collected.results)


def _render(content: dict[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.md.j2").render(content)
