"""Every p-value of a report, adjusted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reports.statistics.bootstrap import Impossible
from reports.statistics.difference import Difference, Significance
from reports.statistics.significance import holm


def adjusted(found: Sequence[Difference | Impossible]) -> list[Difference | Impossible]:
    """The same in the same order, each p-value adjusted by Holm's method over all that there are."""
    tests = [one.test for one in found if isinstance(one, Difference)]
    values = iter(holm([test.p for test in tests if isinstance(test, Significance)]))
    return [
        replace(one, test=replace(one.test, adjusted=next(values)))
        if isinstance(one, Difference) and isinstance(one.test, Significance)
        else one
        for one in found
    ]
