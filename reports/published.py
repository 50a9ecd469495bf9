"""Published numbers for orientation, each with its source; never averaged with measured ones."""

from __future__ import annotations

import csv
from pathlib import Path

from reports.table import MISSING, Table, plain

PUBLISHED = Path(__file__).with_name("published.csv")


def entries() -> list[dict[str, str]]:
    """The rows of published.csv; an empty epoch count or multi-crop flag was not confirmed."""
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def published_table() -> Table:
    """The numbers as a table of their own."""
    header = ("task", "method", "epochs", "multi-crop", "recipe", "metric", "value", "source", "confirmed by")
    rows = tuple(
        (
            entry["task"],
            entry["method"],
            entry["epochs"] or MISSING,
            entry["multi_crop"] or MISSING,
            plain(entry["recipe"]),
            entry["metric"],
            entry["value"] + (f" ± {entry['std']} ({entry['std_of']})" if entry["std"] else ""),
            f"[{entry['paper']}](https://arxiv.org/abs/{entry['paper']}), {plain(entry['table'])}",
            plain(entry["confirmed"]),
        )
        for entry in entries()
    )
    return Table(header, rows, frozenset(header) - {"epochs", "value"})
