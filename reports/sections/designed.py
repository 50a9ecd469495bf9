"""Pairs of the design as a table: each with both of its intervals, and what is read from them."""

from __future__ import annotations

from hsa_bench.core.results.designed_pair import DesignedPair
from reports.sections.tables import parts
from reports.statistics.bootstrap import Impossible
from reports.statistics.designed import Answer, Answers
from reports.statistics.significance import Interval
from reports.writing.table import MISSING, Table, bold, decimals, plain, signed

HEADER = (
    "difference", "rows", "task", "points", "95 %, other test images", "95 %, other pretrainings", "by seed",
    "could have shown", "read from pretrainings",
)  # fmt: skip
LEFT = frozenset({"rows", "task", "by seed", "read from pretrainings"})


def designed_table(found: Answers) -> Table:
    """One line a pair and task."""
    return Table(HEADER, tuple(_line(pair, column, one) for (pair, column), one in found.items()), LEFT)


def questions(found: Answers) -> tuple[str, ...]:
    """What each pair is to answer, once."""
    pairs = dict.fromkeys(pair for pair, _ in found)
    return tuple(
        f"{bold(plain(pair.label))}, {plain(pair.row)} less {plain(pair.less)}: {plain(pair.question)}"
        for pair in pairs
        if pair.question
    )


def _line(pair: DesignedPair, column: str, found: Answer | Impossible) -> tuple[str, ...]:
    named = plain(pair.label), f"{plain(pair.row)} less {plain(pair.less)}", plain(column)
    if isinstance(found, Impossible):
        return (*named, *[MISSING] * 5, f"not paired: {plain(found.reason)}")
    verdict, least = found.verdict, found.least
    if isinstance(found.over_seeds, Impossible):
        verdict += f": {plain(found.over_seeds.reason)}"
    digits = decimals(found.unit, 2, found.value)
    gap = signed(found.value, digits)
    return (
        *named,
        gap if found.unit in {"%", ""} else f"{gap} {plain(found.unit)}",
        _bounds(found.over_images, found),
        _bounds(found.over_seeds, found),
        ", ".join(f"{seed}: {signed(one, digits)}" for seed, one in found.gaps.items()),
        MISSING if least is None else f"{least:.{digits}f}",
        (bold(verdict) if verdict in {"ahead", "behind"} else verdict) + _without(found.missing),
    )


def _without(missing: tuple[int, ...]) -> str:
    if not missing:
        return ""
    seeds, have = ("seeds", "have") if len(missing) > 1 else ("seed", "has")
    return f" (without {seeds} {', '.join(map(str, missing))}, which {have} no number in both rows)"


def _bounds(interval: Interval | Impossible, found: Answer) -> str:
    if isinstance(interval, Impossible):
        return f"none: {plain(interval.reason)}"
    return parts(found.value, interval, found.unit, 2)[1]
