"""What the numbers of a report were made with, every distinct value with how often it occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hsa_bench.core.results.result import Provenance, TaskResult
from reports.writing.table import MISSING, Table, code, plain


def provenance_table(results: Sequence[TaskResult]) -> Table:
    """Versions, commits, hardware and commands of all results."""
    origins = [result.provenance for result in results]
    started = sorted(origin.started for origin in origins)
    facts = {
        "hsa_bench": _counted([plain(o.version) for o in origins]),
        "commit": _counted([commit(o) for o in origins]),
        "Python": _counted([plain(o.python) for o in origins]),
        "packages": _counted([", ".join(plain(f"{k} {v}") for k, v in o.packages.items()) for o in origins]),
        "hardware": _counted([hardware(o) for o in origins]),
        "command": _counted([code(o.command) for o in origins]),
        "started, UTC": plain(" to ".join(dict.fromkeys((started[0], started[-1])))) if started else MISSING,
    }
    return Table(("what", "value"), tuple(facts.items()), frozenset({"value"}))


def commit(origin: Provenance) -> str:
    """The commit of a result, and whether it shows everything."""
    name = code(origin.commit[:12]) if origin.commit else "none, not run from a checkout"
    return f"{name} with uncommitted changes" if origin.dirty else name


def hardware(origin: Provenance) -> str:
    """The machine of a result."""
    return ", ".join(plain(f"{name} {value}") for name, value in origin.hardware.items())


def _counted(values: Sequence[str]) -> str:
    found = Counter(values)
    if len(found) == 1:
        return next(iter(found)) or MISSING
    return "<br>".join(f"{value or MISSING} ({count} results)" for value, count in found.items()) or MISSING
