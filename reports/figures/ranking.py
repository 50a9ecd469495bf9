"""Which backbone is the best on a task."""

from __future__ import annotations

from collections.abc import Collection

from reports.run_folder.grid import Grid


def best_row(grid: Grid, column: str, controls: Collection[str]) -> str:
    """Row with the highest mean of the main metric, controls left out; "" if none has a number."""
    rows = [row for row in grid.rows if grid.row_labels[row] not in controls and grid.at(row, column).runs]
    return max(rows, key=lambda row: grid.at(row, column).mean, default="")
