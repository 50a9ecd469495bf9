"""Do one run and leave its record, whatever happens inside."""

from __future__ import annotations

import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.context import Context
from hsa_bench.core.data.manifest import keep_in
from hsa_bench.core.errors import Unwritable
from hsa_bench.core.features.leakage import overlap
from hsa_bench.core.files import unwritable
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.models.network_print import differ, is_changeable
from hsa_bench.core.processes import rank, world
from hsa_bench.core.results import outcomes
from hsa_bench.core.results.device import PROCESSES
from hsa_bench.core.results.result import Failure, Overlap, Provenance, Status, TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.image_count import counted
from hsa_bench.core.runs.peak_memory import device_peak_mb, peak_mb, reset_device_peak, reset_peak
from hsa_bench.core.runs.plan import Run, default_task
from hsa_bench.core.runs.task import Outcome, Task
from hsa_bench.core.runs.time_limit import TimeIsUp, alarm
from hsa_bench.core.runs.training import remove_scratch, training_on


@dataclass(frozen=True)
class Bench:
    """Where runs are done: the store, the context and what to write down about the machine."""

    store: Store
    ctx: Context
    provenance: Provenance
    timeout: float | None = None
    """Seconds that a run may take; None for as long as it wants."""
    jobs: int = 1
    """Runs that are done at the same time, each in a worker process of its own."""


def execute(run: Run, bench: Bench, backbone: Backbone | None = None) -> TaskResult:
    """Do a run, write its result, and return it. An exception becomes a failed result.

    Args:
        run: What to do.
        bench: Where.
        backbone: If it is in memory already; otherwise the run's request is loaded.
    """
    task = run.task()
    if run.skipped:
        return _write(record(run, bench, "skipped", reason=run.skipped), bench)
    path = bench.store.path(run.label, run.spec.task, run.spec.key)
    ctx = replace(bench.ctx, artefacts=path.with_suffix(""))
    keep_in(ctx.cache)
    reset_peak()
    reset_device_peak(ctx.device)
    start = time.perf_counter()
    try:
        loaded = backbone or open_backbone(run.backbone)
        check_network(run, loaded)
        with counted(loaded.module) as passes, alarm(bench.timeout):
            outcome, further = _measure(run, task, loaded, ctx)
        if task.frozen:
            assert_unchanged(loaded)
        if outcome.examples is not None and rank() == 0:
            outcomes.save(path.with_suffix(".npz"), outcome.examples)
    except Exception as error:
        failure = Failure(
            kind="killed" if isinstance(error, TimeIsUp) else "exception",
            message=_in_words(error, bench),
            traceback=traceback.format_exc(),
        )
        seconds = time.perf_counter() - start
        return _write(record(run, bench, "failed", failure=failure, seconds=seconds), bench)
    result = record(
        run,
        bench,
        "ok",
        metrics=outcome.metrics,
        curves=outcome.curves,
        sweeps=outcome.sweeps,
        effective={**outcome.effective, **further.notes},
        overlap=further.overlap,
        changed=further.changed,
        examples=path.with_suffix(".npz").name if outcome.examples is not None else "",
        artefacts={name: file.name for name, file in outcome.artefacts.items()},
        seconds=outcome.earlier_seconds + time.perf_counter() - start,
        peak_memory_mb=peak_mb(),
        peak_device_memory_mb=device_peak_mb(ctx.device),
        images=outcome.images or (passes.images if world() == 1 else 0),
    )
    _write(result, bench)
    if rank() == 0:
        remove_scratch(path.with_suffix(""), further.scratches)
    return result


def _in_words(error: Exception, bench: Bench) -> str:
    """Say what went wrong, and the remedy where it is the run's own folder."""
    if isinstance(error, TimeIsUp | Unwritable):
        return str(error)
    if isinstance(error, OSError) and error.errno and error.filename:
        place = Path(str(error.filename)).absolute()
        if place.is_relative_to(bench.store.out.absolute()) and not isinstance(error, FileNotFoundError):
            return str(unwritable(error, place))
    return f"{type(error).__name__}: {error}"


def record(run: Run, bench: Bench, status: Status, **found: Any) -> TaskResult:
    """Make the result record of a run; what is not given is empty."""
    task = run.task()
    return TaskResult(
        label=run.label,
        spec=run.spec,
        status=status,
        main_metric=task.main_metric,
        seeded=task.seeded,
        diagnostic=task.diagnostic,
        protocol=task.protocol,
        source=run.source,
        network_print=run.print,
        provenance=bench.provenance if world() > 1 else _by_one(bench.provenance),
        **{"seconds": 0.0, "peak_memory_mb": 0.0, **found},
    )


def _by_one(provenance: Provenance) -> Provenance:
    """The same of a run that one of several processes did alone."""
    alone = {name: value for name, value in provenance.hardware.items() if name != PROCESSES}
    return provenance.model_copy(update={"hardware": alone})


@dataclass(frozen=True)
class _Beside:
    """What the run's surroundings say of an outcome."""

    overlap: Overlap | None
    changed: tuple[str, ...]
    notes: dict[str, list[str]]
    """What a person should know of the data's files, if anything."""
    scratches: Path
    """File name prefix of what helped."""


def check_network(run: Run, backbone: Backbone) -> None:
    """Refuse a network that is not the planned one.

    Raises:
        RuntimeError: Its weights are others, or it does something else with them.
    """
    name = run.backbone.path or run.label
    if backbone.weights != run.spec.backbone.weights:
        raise RuntimeError(f"{name}: the weights have changed since the run was planned")
    if backbone.behaviour != run.spec.backbone.behaviour:
        raise RuntimeError(f"{name}: the network's code has changed since the run was planned")
    if differ(run.print, backbone.print) and not is_changeable(backbone.module, backbone.side):
        raise RuntimeError(f"{name}: the network does something else than when the run was planned")


def _measure(run: Run, task: Task, backbone: Backbone, ctx: Context) -> tuple[Outcome, _Beside]:
    data = task.data(run.dataset, ctx)
    if data.fingerprint() != run.spec.data.fingerprint:
        raise RuntimeError(f"{data.name}: the data have changed since the run was planned")
    with nullcontext(ctx) if task.frozen else training_on(data, run.spec, ctx) as there:
        outcome = task.run(backbone, data, run.spec.seed, run.spec.limit, there)
    missing = [p for p in outcome.artefacts.values() if not Path(p).exists()]
    assert task.main_metric in outcome.values, f"{task.name} gave no {task.main_metric}"
    assert not missing, f"{task.name} left out {missing}"
    usual = default_task(run.module, run.spec.task)
    said = list(getattr(data, "notes", ()))
    notes = {"data_notes": said} if said else {}
    return outcome, _Beside(
        overlap(backbone, data, ctx), task.unlike(usual, data, ctx), notes, there.scratches
    )


def _write(result: TaskResult, bench: Bench) -> TaskResult:
    return bench.store.settle(result) if rank() == 0 else result
