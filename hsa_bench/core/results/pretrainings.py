"""Several weights under one name: several pretrainings only where each states another pretraining seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hsa_bench.core.results.result import Source, TaskResult
from hsa_bench.core.results.row_names import is_control

CONTROL = "control"
"""Format of untrained networks and raw pixels, whose initialisations are meant to be averaged."""


def stated_seed(source: Source) -> int | None:
    """Return the seed of a backbone's pretraining, as the user or its own file states it; None if neither."""
    if source.pretraining_seed is not None:
        return source.pretraining_seed
    return source.budget.seed if source.budget else None


def are_pretrainings(seeds: Mapping[str, Iterable[int | None]]) -> bool:
    """Whether weights are several pretrainings of one thing, or are one.

    Args:
        seeds: By weights: the pretraining seeds that are stated of them.
    """
    stated = [set(found) for found in seeds.values()]
    known = [max(found) for one in stated if len(found := {seed for seed in one if seed is not None}) == 1]
    return len(stated) < 2 or (len(known) == len(stated) and len(set(known)) == len(known))


def told_apart(results: Iterable[TaskResult], planned: Mapping[str, int | None]) -> dict[str, str]:
    """Return what tells weights under one name apart that are not several pretrainings: by weights.

    Args:
        results: Of one name, architecture and preprocessing.
        planned: By key: the pretraining seed that the plan states.

    Returns:
        Empty text for weights that may be averaged with the others; else their step, or their first digits.
    """
    seeds: dict[str, set[int | None]] = {}
    steps: dict[str, set[int | None]] = {}
    for result in results:
        weights, seed = result.spec.backbone.weights, planned.get(result.spec.key)
        if result.source.format == CONTROL or is_control(result.label):
            continue
        seeds.setdefault(weights, set()).add(stated_seed(result.source) if seed is None else seed)
        steps.setdefault(weights, set()).add(result.step)
    if are_pretrainings(seeds):
        return {}
    own = [min(found, key=str) for found in steps.values()]
    by_step = (
        None not in own and len(set(own)) == len(own) and all(len(found) == 1 for found in steps.values())
    )
    return {
        weights: f"step {step}" if by_step else f"weights {weights[:8]}"
        for weights, step in zip(seeds, own, strict=True)
    }
