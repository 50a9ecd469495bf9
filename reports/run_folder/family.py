"""Metrics that measure the same in several places: at layers, or from several numbers of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hsa_bench.core.results.metric import Metric


@dataclass(frozen=True)
class Family:
    """What is the same of metrics that differ in their place alone."""

    name: str
    by: str
    """The classifier, where it is not the main metric's."""
    title: str = field(compare=False)
    axis: str = field(compare=False)
    """Title and unit."""
    unit: str = field(compare=False)

    @classmethod
    def of(cls, metric: Metric) -> Family:
        """Return the family of a metric; one that states none is of its own."""
        return cls(metric.family or metric.name, metric.by, metric.words, metric.axis, metric.unit)


def in_one_order(several: Iterable[Sequence[str]]) -> list[str]:
    """Merge ordered lists of names: those of the longest, the others after their neighbours."""
    merged: list[str] = []
    for names in sorted(several, key=len, reverse=True):
        place = 0
        for name in names:
            if name not in merged:
                merged.insert(place, name)
            place = merged.index(name) + 1
    return merged
