"""All figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from reports.figures.comparison import draw_comparison
from reports.figures.confusion import draw_confusion
from reports.figures.embedding import draw_embedding
from reports.figures.fractions import draw_fractions
from reports.figures.geometry import draw_geometry
from reports.figures.layers import draw_layers
from reports.figures.picture import FOLDER, Picture, cache_of
from reports.figures.pretraining import draw_pretraining
from reports.figures.progress import draw_progress
from reports.figures.sensitivity import draw_sensitivity
from reports.figures.shots import draw_shots
from reports.figures.training import draw_training
from reports.figures.transfer import draw_transfer
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid
from reports.statistics.comparison import Comparison
from reports.writing.unwritten import Unwritten

FIGURES = {
    "transfer": draw_transfer,
    "progress": draw_progress,
    "pretraining": draw_pretraining,
    "fractions": draw_fractions,
    "shots": draw_shots,
    "layers": draw_layers,
    "geometry": draw_geometry,
    "confusion": draw_confusion,
    "embedding": draw_embedding,
    "sensitivity": draw_sensitivity,
    "training": draw_training,
}
"""In the order in which they are of interest."""


def draw_all(
    collected: Collected,
    grid: Grid,
    comparison: Comparison,
    controls: Sequence[str],
    report: Path,
    missing: Unwritten | None = None,
) -> dict[str, Picture]:
    """Draw, or take from the cache, every figure that has something to show, by name.

    Args:
        collected: The run folder.
        grid: Its cells.
        comparison: Its differences.
        controls: Labels of the untrained.
        report: The Markdown file, which the figures stand beside.
        missing: Takes note of figures that cannot be written, and the others are drawn; None: they raise.
    """
    baseline = next(iter(comparison.baselines), "")
    every: dict[str, Callable[[], Picture | None]] = {
        "comparison": partial(draw_comparison, grid, comparison, controls, report, cache_of(collected)),
        **{
            name: partial(draw, collected, grid, baseline, controls, report) for name, draw in FIGURES.items()
        },
    }
    drawn = {}
    for name, draw in every.items():
        with missing.noting(report.parent / FOLDER / f"{name}.png") if missing else nullcontext():
            drawn[name] = draw()
    return {name: picture for name, picture in drawn.items() if picture}
