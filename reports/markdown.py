"""The report's text: everything the template shows, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.figures import Picture
from reports.published.beside import anchor_table, beside_table
from reports.published.entries import UNCONFIRMED, entries
from reports.published.orientation import families
from reports.run_folder.collected import PRETRAINING, Collected
from reports.sections.backbones import backbone_table, budget_table, pretraining_table, pretrainings
from reports.sections.checks import Evidence, checks_table
from reports.sections.designed import designed_table, questions
from reports.sections.devices import any_unlike
from reports.sections.features_shared import features_shared_table
from reports.sections.glossary import glossary, other_scales, scale
from reports.sections.mined import mined_sentences
from reports.sections.notes import notes
from reports.sections.provenance import commit, hardware, provenance_table
from reports.sections.summary import summary
from reports.sections.tables import baseline_table, cost_table, main_table, statistics_table
from reports.sections.tasks import sections
from reports.sections.transfer import KNN, LINEAR, transfer_columns, transfer_tables, without_transfer
from reports.statistics.bootstrap import CLASSIFICATION_DRAWS, DETECTION_DRAWS
from reports.statistics.significance import LEAST_RUNS
from reports.writing.table import MISSING, Table, code, plain

TEMPLATES = Path(__file__).parent / "writing/templates"
PUBLISHED_FILE = "tables/published.csv"
PLACED = {"comparison", "pretraining", "transfer"}
"""Figures that do not stand among the others."""


def tables(evidence: Evidence, classes: Mapping[str, Table], root: str) -> dict[str, Table]:
    """The report's tables by name; those of tasks apart."""
    grid, comparison, collected = evidence.grid, evidence.comparison, evidence.collected
    narrow = without_transfer(grid)
    found = {
        "results": main_table(narrow, comparison, root),
        "pairs of the design": designed_table(evidence.designed),
        **{f"against {base}": baseline_table(narrow, comparison, base) for base in comparison.baselines},
        "statistics": statistics_table(grid, comparison),
        **transfer_tables(grid, comparison),
        "checks": checks_table(evidence),
        "backbones": backbone_table(grid, collected.out),
        "pretraining budget": budget_table(grid, evidence.controls),
        "pretrained in this run": pretraining_table(collected),
        "cost": cost_table(grid),
        "features shared": features_shared_table(grid, collected.passes),
        "anchors": anchor_table(evidence.anchors),
        "beside published": beside_table(grid),
        "provenance": provenance_table(collected.results),
        **{f"by class, {column}": table for column, table in classes.items()},
    }
    return {name: table for name, table in found.items() if table.rows}


def render(
    evidence: Evidence,
    found: Mapping[str, Table],
    classes: Mapping[str, Table],
    figures: Mapping[str, Picture],
    pictures: Mapping[str, Sequence[Picture]],
    root: str,
) -> str:
    """The report in Markdown.

    Args:
        evidence: What was measured, compared and checked.
        found: As `tables` gave them.
        classes: By column, a value of each class and backbone.
        figures: By name; those of `PLACED` have places of their own.
        pictures: Those that tasks left, by task.
        root: The run folder as seen from the report, for links.
    """
    collected, grid, comparison = evidence.collected, evidence.grid, evidence.comparison
    plan = collected.plan
    text = {name: table.markdown() for name, table in found.items()}
    own = {name: shown(picture) for name, picture in figures.items()}
    return _template().render(
        title=plain(plan.title if plan and plan.title else "Transfer evaluation"),
        limited=_limited(collected),
        header=_header(collected).markdown(),
        summary=summary(grid, comparison, set(evidence.controls)),
        mined=mined_sentences(
            grid, set(evidence.controls), figures["pretraining"].path if "pretraining" in figures else None
        ),
        draws={"classification": f"{CLASSIFICATION_DRAWS:,}", "detection": f"{DETECTION_DRAWS:,}"},
        least=LEAST_RUNS,
        tests=comparison.tests,
        other_devices=any_unlike(grid, comparison),
        scale=scale(without_transfer(grid)),
        other_scales=other_scales(grid),
        glossary=glossary(without_transfer(grid)),
        baselines=", ".join(map(plain, comparison.baselines)),
        main=text.get("results", ""),
        designed=text.get("pairs of the design", ""),
        questions=questions(evidence.designed),
        comparison=own.get("comparison", ""),
        comparisons=[
            {"name": plain(base), "table": text[f"against {base}"]}
            for base in comparison.baselines
            if f"against {base}" in found and comparison.differences
        ],
        statistics=text.get("statistics", ""),
        transfer={
            "linear": text.get(LINEAR, ""),
            "knn": text.get(KNN, ""),
            "figure": own.get("transfer", ""),
        },
        data_sets=len(transfer_columns(grid)),
        checks=text.get("checks", ""),
        notes=notes(collected, grid, comparison, evidence.anchors),
        figures=[
            {"title": plain(picture.title), "text": own[name]}
            for name, picture in figures.items()
            if name not in PLACED
        ],
        sections=sections(grid, comparison, classes, root),
        pictures={task: [shown(picture) for picture in group] for task, group in pictures.items()},
        backbones=text.get("backbones", ""),
        budgets=text.get("pretraining budget", ""),
        pretrainings=text.get("pretrained in this run", ""),
        pretraining=PRETRAINING,
        recipes=tuple(
            dict.fromkeys(f"{plain(r.label)}: {plain(r.protocol)}" for r in pretrainings(collected))
        ),
        curves=own.get("pretraining", ""),
        costs=text.get("cost", ""),
        features_shared=text.get("features shared", ""),
        on_gpu=any(result.peak_device_memory_mb for result in collected.results),
        beside=text.get("beside published", ""),
        anchors=text.get("anchors", ""),
        families=families(grid),
        published_count=f"{len(entries()):,}",
        published_file=PUBLISHED_FILE,
        unconfirmed=_unconfirmed(),
        provenance=text.get("provenance", ""),
    )


def shown(picture: Picture) -> str:
    """A picture with its caption, in Markdown."""
    image = f"![{plain(picture.title)}]({quote(picture.path.as_posix())})"
    return f"{image}\n\n*{plain(picture.caption)}*" if picture.caption else image


def _unconfirmed() -> str:
    if not UNCONFIRMED:
        return ""
    return f" No number could be confirmed, so none stands here, of {', '.join(map(plain, UNCONFIRMED))}."


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


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain
    return environment.get_template("report.md.j2")
