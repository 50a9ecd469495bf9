"""Results on file of an older version: how many there are, what has changed, what doing them again costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress

from hsa_bench.core.errors import UnreadableResult
from hsa_bench.core.results.result import RunSpec, TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.plan import Run

SHOWN = 3
"""Of the changes, how many are named."""


def older_results(todo: Iterable[Run], store: Store) -> str:
    """Say in one line what is on file of runs that are to be done, under the key of an older version.

    Results of other weights, seeds, data sets or limits are of other runs and do not count. Nothing is
    touched: the older results stay on file.

    Returns:
        Empty where there are none.
    """
    found = [(run, older) for run in todo if (older := _older(run, store))]
    if not found:
        return ""
    changes = Counter(change for run, older in found for change in _changes(older.spec, run.spec))
    named = [f"{change} ({count})" if len(found) > 1 else change for change, count in changes.most_common()]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    many, stay, them = "result on file is", "it stays", "it"
    if len(found) > 1:
        many, stay, them = "results on file are", "they stay", "them"
    cost = _duration(sum(result.seconds for _, result in found))
    return (
        f"{len(found)} {many} of an older version or other settings: {', '.join(named[:SHOWN])}{more}; "
        f"{stay} on file, and doing {them} again takes about {cost}"
    )


def _older(run: Run, store: Store) -> TaskResult | None:
    """The newest number of the same run under another key."""
    found = [r for r in _beside(run, store) if r.status == "ok" and _same(r.spec, run.spec)]
    return max(found, key=lambda result: result.provenance.started, default=None)


def _beside(run: Run, store: Store) -> Iterator[TaskResult]:
    folder = store.path(run.label, run.spec.task, run.spec.key).parent
    for path in sorted(folder.glob("*.json")):
        with suppress(UnreadableResult):
            result = store.read(path)
            if result.spec.key != run.spec.key:
                yield result


def _same(older: RunSpec, spec: RunSpec) -> bool:
    """Whether two specifications are of one run in a reader's eyes."""
    alike = (older.seed, older.limit, older.data.name, older.backbone.weights)
    return alike == (spec.seed, spec.limit, spec.data.name, spec.backbone.weights)


def _changes(older: RunSpec, spec: RunSpec) -> Iterator[str]:
    """Which parts of the key differ."""
    if older.version != spec.version:
        yield f"task version {older.version} → {spec.version}"
    if older.data.fingerprint != spec.data.fingerprint:
        yield "data or their fingerprint"
    was, now = older.backbone.model_dump(mode="json"), spec.backbone.model_dump(mode="json")
    for name in {**was, **now}:
        if was.get(name) != now.get(name):
            yield {"arch": "architecture's name", "card": "preprocessing"}.get(name, f"backbone's {name}")
    was, now = (one.model_dump(mode="json")["settings"] for one in (older, spec))  # a tuple is a list on file
    for name in {**was, **now}:
        if name not in was or name not in now:
            yield f"new setting {name}" if name in now else f"setting {name}, gone"
        elif was[name] != now[name]:
            yield f"setting {name}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
