"""Which backbone is the best on a task."""

from __future__ import annotations

from collections.abc import Collection

from reports.run_folder.grid import Grid


def best_row(grid: Grid, column: str, controls: Collection[str]) -> str:
    """Row with the best mean of the main metric, controls left out; "" if none has a number."""
    rows = [row for row in grid.rows if grid.row_labels[row] not in controls and grid.at(row, column).runs]
    cells = {row: grid.at(row, column) for row in rows}
    return max(rows, key=lambda row: -cells[row].mean if cells[row].lower else cells[row].mean, default="")
