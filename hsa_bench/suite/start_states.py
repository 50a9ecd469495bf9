"""The whole states that a run's start left, under names that branches can be given: one a seed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hsa_bench.core.files import whole_file
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.suite.branching import START
from hsa_bench.suite.on_file import STATE

PRETRAINING = "pretrain"


def lay_out_states(
    seeds: Sequence[int], results: Sequence[TaskResult], store: Store, folder: Path
) -> tuple[Path, str]:
    """Copy the states of the start to one folder.

    Args:
        seeds: Of the start; each must have left its state.
        results: Of the plan.
        store: Where they are.
        folder: For the copies.

    Returns:
        Their common name with `{seed}` in it; and why one is missing, empty if none is.
    """
    starts = {r.spec.seed: r for r in results if r.label == START and r.spec.task == PRETRAINING}
    for seed in seeds:
        start = starts.get(seed)
        if start is None or start.status != "ok":
            why = f" ({start.failure.message})" if start and start.failure else ""
            return folder, f"{START}, seed {seed}, has not come to its end{why}"
        kept = store.artefact(start, STATE)
        assert kept is not None, "the start keeps its state"
        folder.mkdir(parents=True, exist_ok=True)
        with kept.open("rb") as source, whole_file(_named(folder, seed)) as file:
            shutil.copyfileobj(source, file)
    return _named(folder, "{seed}"), ""


def _named(folder: Path, seed: int | str) -> Path:
    return folder / f"{START}-{seed}.state.pth"
