"""What decided of pretrainings that pull mined neighbours together: their purity beside bare pixels'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from urllib.parse import quote

from hsa_bench.core.results.mined import Mined
from hsa_bench.core.results.result import Budget
from reports.run_folder.grid import Grid
from reports.writing.table import bold, plain


def mined_sentences(grid: Grid, controls: set[str], figure: Path | None) -> tuple[str, ...]:
    """Say in one sentence a row what its neighbours were worth; nothing of rows whose files do not state it.

    Args:
        grid: The report's cells.
        controls: Labels of the untrained.
        figure: The pretraining curves as seen from the report, if they were drawn.
    """
    rows = [row for row in grid.rows if grid.row_labels[row] not in controls]
    stated = {row: found for row in rows if (found := _pretrainings(grid, row))}
    link = f" ([curves]({quote(figure.as_posix())}))" if figure else ""
    return tuple(f"{bold(plain(row))}: {_sentence(found)}{link}." for row, found in stated.items())


def _pretrainings(grid: Grid, row: str) -> list[tuple[Budget, Mined]]:
    """What each pretraining of a row states of its neighbours, once for each set of weights."""
    stated = {
        result.spec.backbone.weights: (budget, budget.mined)
        for result in grid.in_row(row)
        if (budget := result.source.budget) and budget.mined
    }
    return list(stated.values())


def _sentence(found: Sequence[tuple[Budget, Mined]]) -> str:
    epochs = _span([budget.epochs for budget, _ in found])
    weighed = [mined for _, mined in found if mined.counted_from]
    every = [mined for _, mined in found]
    pixels, last = _percent([one.pixels for one in every]), _percent([one.last for one in every])
    several = f" (mean of {len(found)} pretrainings)" if len(found) > 1 else ""
    if not weighed:
        all_of_them = f"{epochs} epoch" if epochs == "1" else f"{epochs} epochs"
        return (
            f"mined neighbours never counted in its {all_of_them}; at the end {last} of them were of the "
            f"picture's class, against {pixels} among bare pixels{several}"
        )
    first, latest = (end(one.counted_from for one in weighed) for end in (min, max))
    begun = f"epoch {first:,}" if first == latest else f"an epoch between {first:,} and {latest:,}"
    some = f" in {len(weighed)} of {len(found)} pretrainings" if len(weighed) < len(found) else ""
    counted = _percent([one.counted for one in weighed])
    return (
        f"mined neighbours counted from {begun} of {epochs} on{some}, when {counted} of them were of "
        f"the picture's class, against {pixels} among bare pixels; {last} at the end{several}"
    )


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _percent(values: Sequence[float]) -> str:
    return f"{fmean(values):.1f} %"
