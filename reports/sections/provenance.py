"""What the numbers of a report were made with, every distinct value with how often it occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hsa_bench.core.results.device import UNSHOWN, USUAL, computed_on, kind_of, precision_of
from hsa_bench.core.results.result import Provenance, TaskResult
from reports.run_folder.devices import device
from reports.sections.devices import by_task
from reports.writing.table import MISSING, Table, code, plain


def provenance_table(results: Sequence[TaskResult]) -> Table:
    """Versions, commits, devices, hardware and commands of all results.

    Devices have a row unless everything is of one CPU, number formats unless everything is float32.
    """
    origins = [result.provenance for result in results]
    started = sorted(origin.started for origin in origins)
    facts = {
        "hsa_bench": _counted([plain(o.version) for o in origins]),
        "commit": _counted([commit(o) for o in origins]),
        "Python": _counted([plain(o.python) for o in origins]),
        "packages": _counted([", ".join(plain(f"{k} {v}") for k, v in o.packages.items()) for o in origins]),
        **_devices([result for result in results if result.status == "ok"]),
        "hardware": _counted([hardware(o) for o in origins]),
        "command": _counted([code(o.command) for o in origins]),
        "started, UTC": plain(" to ".join(dict.fromkeys((started[0], started[-1])))) if started else MISSING,
    }
    return Table(("what", "value"), tuple(facts.items()), frozenset({"value"}))


def _devices(results: list[TaskResult]) -> dict[str, str]:
    devices = {device(result) for result in results}
    precisions = {precision_of(result) for result in results} - {""}
    found = {}
    if len(devices) > 1 or any(kind_of(result.provenance.hardware) != "cpu" for result in results):
        found["device"] = by_task(results, lambda result: computed_on(result.provenance.hardware))
    if precisions - {USUAL}:
        found["precision"] = by_task(results, precision_of)
    return found


def commit(origin: Provenance) -> str:
    """The commit of a result, and whether it shows everything."""
    name = code(origin.commit[:12]) if origin.commit else "none, not run from a checkout"
    return f"{name} with uncommitted changes" if origin.dirty else name


def hardware(origin: Provenance) -> str:
    """The machine of a result."""
    shown = (item for item in origin.hardware.items() if item[0] not in UNSHOWN)
    return ", ".join(plain(f"{name} {value}") for name, value in shown)


def _counted(values: Sequence[str]) -> str:
    found = Counter(values)
    if len(found) == 1:
        return next(iter(found)) or MISSING
    return "<br>".join(f"{value or MISSING} ({count} results)" for value, count in found.items()) or MISSING
