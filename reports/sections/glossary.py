"""What the main metrics are, in the words of their tasks, and on which scale they stand."""

from __future__ import annotations

from hsa_bench.core.results.metric import Metric
from reports.run_folder.grid import Grid
from reports.writing.table import code, plain

USUAL = "percentages, higher is better"


def glossary(grid: Grid) -> str:
    """Return a sentence on the main metrics of these columns; empty where none says what it is."""
    sayings = (_saying(metric) for metric in _mains(grid).values())
    text = ", ".join(saying for saying in sayings if saying)
    return f"{text}." if text else ""


def scale(grid: Grid) -> str:
    """Return a clause on units and direction of the numbers in these columns."""
    unusual = any(remark(metric) for metric in _mains(grid).values())
    return f"Numbers are {USUAL}" + (", unless a column says otherwise" if unusual else "")


def other_scales(grid: Grid) -> str:
    """Return how to read differences of columns whose scale is not `USUAL`; empty where there is none."""
    remarks = {remark(metric) for metric in _mains(grid).values()} - {""}
    text = "; in its own unit where a metric is not a percentage" if remarks else ""
    lower = any(metric.lower for metric in _mains(grid).values())
    return text + (", and below zero for the better one where lower is better" if lower else "")


def remark(metric: Metric) -> str:
    """Return what sets a metric's scale apart from `USUAL`, e.g. "degrees, lower is better"; or nothing."""
    unit = plain(metric.unit) if metric.unit != "%" else ""
    return ", ".join(part for part in (unit, "lower is better" if metric.lower else "") if part)


def _mains(grid: Grid) -> dict[str, Metric]:
    mains = (grid.metric(column) for column in grid.columns)
    return {metric.name: metric for metric in mains if metric}


def _saying(metric: Metric) -> str:
    words = metric.meaning or (metric.title if metric.title != metric.name else "")
    remarks = [remark(metric), "" if metric.better else "a diagnostic, not tested"]
    inside = "; ".join(part for part in remarks if part)
    if not words and not inside:
        return ""
    shown = f"{code(metric.name)} is {plain(words)}" if words else code(metric.name)
    return f"{shown} ({inside})" if inside else shown
