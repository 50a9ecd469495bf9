"""Published numbers as tables of their own, one for each family of tasks, for orientation alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hsa_bench.core.results.result import TaskResult
from reports.published.beside import published_value
from reports.published.entries import Entry, entries, incomparable
from reports.run_folder.grid import Grid
from reports.writing.table import MISSING, Table, plain

TITLES = {
    "linear": "Linear classification",
    "knn": "Nearest neighbours",
    "semisup-1": "Semi-supervised, 1 % of the labels",
    "semisup-10": "Semi-supervised, 10 % of the labels",
    "semisup-1-selftrain": "Self-training, 1 % of the labels",
    "semisup-10-selftrain": "Self-training, 10 % of the labels",
    "voc": "Detection on VOC 07+12, Faster R-CNN R50-C4",
    "coco-c4-1x": "COCO, Mask R-CNN R50-C4, 1x",
    "coco-c4-2x": "COCO, Mask R-CNN R50-C4, 2x",
    "coco-fpn-1x": "COCO, Mask R-CNN R50-FPN, 1x",
    "coco-fpn-2x": "COCO, Mask R-CNN R50-FPN, 2x",
    "voc07-linear": "VOC 07 classification, linear",
}

HEADER = ("method", "architecture", "epochs", "multi-crop", "data", "recipe")
TAIL = ("source", "confirmed by", "note", "beside ours")


@dataclass(frozen=True)
class Family:
    """The published numbers of one kind of task."""

    title: str
    count: int
    measured: bool
    """Whether this report measures a task of the kind."""
    table: Table


def families(grid: Grid) -> tuple[Family, ...]:
    """All there is, the kinds that this report measures first."""
    results = [
        result for column in grid.columns for result in grid.in_column(column) if result.status == "ok"
    ]
    own = {result.spec.task for result in results}
    found: dict[str, list[Entry]] = {}
    for entry in entries():
        found.setdefault(entry.task, []).append(entry)
    made = [
        Family(
            title=TITLES.get(task, task),
            count=len(group),
            measured=any(entry.ours in own for entry in group),
            table=_table(group, results),
        )
        for task, group in found.items()
    ]
    return tuple(sorted(made, key=lambda one: not one.measured))


def all_entries() -> Table:
    """Every published number, one row each, for a file beside the report."""
    header = tuple(Entry.__dataclass_fields__)
    return Table(header, tuple(tuple(plain(getattr(e, n)) for n in header) for e in entries()))


def _table(group: Sequence[Entry], results: Sequence[TaskResult]) -> Table:
    metrics = list(dict.fromkeys(entry.metric for entry in group))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    tails: dict[tuple[str, ...], tuple[str, ...]] = {}
    for entry in group:
        key = (
            plain(entry.method), plain(entry.architecture), entry.epochs or MISSING,
            entry.multi_crop or MISSING, entry.dataset, plain(entry.recipe) or MISSING,
        )  # fmt: skip
        tail = (
            entry.source, plain(entry.confirmed), plain(entry.note) or MISSING, _beside(entry, results),
        )  # fmt: skip
        place: tuple[str, ...] = (*key, *tail)
        if entry.metric in rows.get(place, {}):  # two values of one thing: a row each
            place = (*place, entry.value)
        rows.setdefault(place, {})[entry.metric] = published_value(entry)
        tails[place] = tail
    body = tuple(
        (*place[: len(HEADER)], *(values.get(metric, MISSING) for metric in metrics), *tails[place])
        for place, values in rows.items()
    )
    words = frozenset({*HEADER, *TAIL} - {"epochs"})
    return Table((*HEADER, *metrics, *TAIL), body, words)


def _beside(entry: Entry, results: Sequence[TaskResult]) -> str:
    """Whether a number of this report may stand beside it, and if not, why."""
    reasons = list(dict.fromkeys(incomparable(entry, result) for result in results))
    if "" in reasons:
        return "comparable, above"
    apart = [reason for reason in reasons if reason.startswith("our ")]
    other = [reason for reason in reasons if reason != "other recipe"]
    return plain((apart or other or reasons or ["nothing was measured"])[0])
