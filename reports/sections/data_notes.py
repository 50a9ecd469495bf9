"""What a reader must know of the data: objects left out, remarks, test images seen in pretraining."""

from __future__ import annotations

from typing import Any

from reports.run_folder.grid import Grid
from reports.writing.table import plain, setting


def dropped(grid: Grid) -> tuple[str, ...]:
    """Name the objects that a detection task could not use: how many, and the first by file and number."""
    lines: dict[str, None] = {}
    for column in grid.columns:
        for result in grid.in_column(column):
            if named := result.effective.get("dropped"):
                counts = result.effective.get("dropped_objects")
                known = counts.items() if isinstance(counts, dict) else ()
                many = ", ".join(f"{_amount(n)} of {plain(str(s))}" for s, n in known) or "so many"
                first = "; ".join(map(str, named)) if isinstance(named, list) else str(named)
                lines[f"{plain(column)}: {many}, such as: {plain(first)}."] = None
    return tuple(lines)


def remarked(grid: Grid) -> tuple[str, ...]:
    """Say what was passed over in a folder, is learnt and tested, or is in one split alone."""
    said = [r.effective.get("data_notes") for column in grid.columns for r in grid.in_column(column)]
    texts = [text for one in said if one for text in (one if isinstance(one, list) else [one])]
    return tuple(dict.fromkeys(f"{plain(str(text)).rstrip('.')}." for text in texts))


def _amount(count: Any) -> str:
    return f"{count:,}" if isinstance(count, int) else setting(count)


def leaked(grid: Grid) -> tuple[str, ...]:
    """Count test images whose pixels are among those of the pretraining, by the checkpoint's hashes."""
    lines = dict.fromkeys(
        f"{plain(row)}: {seen.shared:,} of {seen.tested:,} test images of {plain(result.spec.data.name)} "
        "were pretrained on, by the hashes in its checkpoint."
        for row in grid.rows
        for result in grid.in_row(row)
        if (seen := result.overlap) and seen.shared
    )
    return tuple(lines)
