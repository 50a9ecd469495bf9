"""What earlier commands left of a plan's runs: results and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hsa_bench.core.checkpoints.load import read
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.files import set_aside
from hsa_bench.core.models.user_module import is_own
from hsa_bench.core.results.result import RunSpec, TaskResult
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.plan import Run
from hsa_bench.core.runs.runner import aside_if_of_another, finished
from pretrain.kept_state import read_state_file

CHECKPOINT = "checkpoint"
"""What a pretraining calls the file that it hands over."""

STATE = "state"
"""And the one of its whole state, if it keeps that."""


def on_file(run: Run, bench: Bench) -> TaskResult | None:
    """Return the result that need not be made again; a pretraining's with the checkpoint it tells of."""
    result = finished(run, bench)
    return None if result is None or checkpoint_fault(run, result, bench) else result


def checkpoint_fault(run: Run, result: TaskResult, bench: Bench) -> str:
    """Say why the files of a pretraining are not what its record tells of; empty where they are."""
    return fault[1] if (fault := _fault(run, result, bench)) else ""


def _fault(run: Run, result: TaskResult, bench: Bench) -> tuple[Path, str] | None:
    """Find what is wrong with the checkpoint, or with the whole state beside it where it keeps that."""
    path, state = (bench.store.artefact(result, name) for name in (CHECKPOINT, STATE))
    for file in (path, state):
        if file is not None and (said := _fault_of(file, run, result)):
            return file, said
    if state is not None and (said := _fault_of_state(state, result)):
        return state, said
    return None


def _fault_of(path: Path, run: Run, result: TaskResult) -> str:
    """Say what is wrong with a checkpoint, which a whole state is, too."""
    if not path.is_file():
        return f"{path} is gone"
    arch = run.backbone.arch if is_own(run.backbone.arch) else ""
    try:
        held = read(path)
        found = open_backbone(BackboneRequest(label=run.label, path=str(path), arch=arch))
    except ValueError as error:
        return f"damaged ({error})"
    if others := _differences(held, run.spec):
        return f"{path} holds another pretraining, with {others[0]}"
    if result.effective.get("weights", found.weights) != found.weights:
        return f"{path} holds other weights than were pretrained"
    return ""


def _fault_of_state(path: Path, result: TaskResult) -> str:
    try:
        found = read_state_file(path).hash
    except ValueError as error:
        return f"damaged ({error})"
    if result.effective.get(STATE, found) != found:
        return f"{path} holds another state than was kept"
    return ""


def _differences(held: Any, spec: RunSpec) -> list[str]:
    """Name what a checkpoint says of itself and the run does not: "method hsa, not moco"."""
    said = {**_mapping(held.get("settings")), "arch": held.get("arch")}
    wanted = {**spec.settings, "arch": spec.backbone.arch}
    budget = _mapping(held.get("budget"))
    said |= {"seed": budget.get("seed"), "dataset": budget.get("dataset")}
    wanted |= {"seed": spec.seed, "dataset": spec.data.name}
    return [
        f"{name} {said[name]}, not {wanted[name]}"
        for name in ("method", "arch", *said)
        if name in said and name in wanted and _plain(said[name]) != _plain(wanted[name])
    ]


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _plain(value: Any) -> Any:
    """A tuple as JSON has it."""
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def clear_the_way(todo: Sequence[Run], bench: Bench) -> Iterator[str]:
    """Set aside what stands where results of these runs will stand and is none; yield a sentence for each."""
    for run in todo:
        if said := bench.store.set_aside(bench.store.path(run.label, run.spec.task, run.spec.key)):
            yield said
        if said := aside_if_of_another(run, bench):
            yield said
        result = finished(run, bench)
        if result is None or not (fault := _fault(run, result, bench)):
            continue
        path, said = fault
        aside = f"; set aside as {set_aside(path).name}" if path.exists() else ""
        yield f"{said}{aside}; {run.label} is pretrained again"


def what_is_taken_up(runs: Sequence[Run], todo: Sequence[Run], bench: Bench) -> Iterator[str]:
    """Say what of earlier commands serves this one."""
    kept = len(runs) - len(todo)
    if kept:
        yield f"{kept} of {len(runs)} runs are on file and are re-used"
    old = [result for run in todo if (result := bench.store.get(run.label, run.spec.task, run.spec.key))]
    if failed := sum(result.status == "failed" for result in old):
        yield f"{failed} of {len(runs)} runs failed before and are tried again"
