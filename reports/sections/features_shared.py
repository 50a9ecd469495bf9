"""Feature passes: extractions that backbones shared, whose seconds are in none of the runs'."""

from __future__ import annotations

from collections.abc import Sequence

from hsa_bench.core.results.feature_pass import SharedFeatures
from reports.run_folder.grid import Grid
from reports.writing.table import Table, plain

HEADER = ("data", "seen", "backbones", "images decoded", "seconds", "seconds a backbone", "device")


def features_shared_table(grid: Grid, passes: Sequence[SharedFeatures]) -> Table:
    """Tell what each pass took that made features of backbones in the report, in the order of work."""
    labels = set(grid.row_labels.values())
    rows = tuple(
        (
            plain(one.data),
            plain(one.view),
            f"{len(one.backbones)}",
            f"{one.images:,}",
            f"{one.seconds:.1f}",
            f"{one.seconds / len(one.backbones):.1f}",
            plain(one.device),
        )
        for one in passes
        if labels & set(one.backbones)
    )
    return Table(HEADER, rows, frozenset({"seen", "device"}))
