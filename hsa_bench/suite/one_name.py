"""Several files under one name are refused, unless each states that it is another pretraining."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from hsa_bench.core.errors import UnreadableResult, UsageError
from hsa_bench.core.results.pretrainings import are_pretrainings, stated_seed
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.plan import LoadedBackbone, Run


def check_on_file(one: LoadedBackbone, store: Store) -> None:
    """Refuse a name under which a folder has results of other weights that are not another pretraining's.

    Raises:
        UsageError: With the name, the folder and both remedies.
    """
    label, own = one.request.label, one.backbone
    seeds: dict[str, set[int | None]] = {own.weights: {stated_seed(one.source)}}
    for path in sorted((store.results / label).glob("*/*.json")):
        with suppress(UnreadableResult):
            result = store.read(path)
            weights = result.spec.backbone.weights
            if result.spec.backbone.arch == own.arch and weights != own.weights:
                seeds.setdefault(weights, set()).add(stated_seed(result.source))
    if not are_pretrainings(seeds):
        raise UsageError(
            f"label {label}: {store.out} has results of other weights under this name. Give these another "
            "label; or, where all are pretrainings of one thing, state the seed of each: pretraining_seed=1"
        )


def check_one_name(backbones: Iterable[LoadedBackbone], pretraining: Iterable[Run]) -> None:
    """Refuse weights under one name that are not known to be several pretrainings of one thing.

    Args:
        backbones: Those named by the user.
        pretraining: The pretrainings of this job, each with its seed.

    Raises:
        UsageError: With the name, its files and both remedies.
    """
    seeds: dict[tuple[str, str], dict[str, set[int | None]]] = {}
    paths: dict[tuple[str, str], list[str]] = {}
    for run in pretraining:
        place = run.label, run.spec.backbone.arch
        seeds.setdefault(place, {})[f"seed {run.spec.seed}"] = {run.spec.seed}
        paths.setdefault(place, []).append(f"its pretraining of seed {run.spec.seed}")
    for one in backbones:
        label = one.request.label
        place = label, one.backbone.arch  # several architectures are rows of their own in any case
        alike = seeds.setdefault(place, {}).setdefault(one.backbone.weights, set())
        if alike:
            raise UsageError(
                f"{label}: {one.request.path} has the same weights as another of its files; leave one out"
            )
        alike.add(stated_seed(one.source))
        paths.setdefault(place, []).append(one.request.path)
    for (label, arch), stated in seeds.items():
        if not are_pretrainings(stated):
            many = ",".join(map(str, range(len(stated))))
            files = ", ".join(paths[label, arch])
            raise UsageError(
                f"{label} stands for {len(stated)} sets of weights ({files}), and nothing says that they are "
                "several pretrainings of one thing, which are averaged. Give the second another name; or, "
                f"if they are, state the seed of each: --pretrain-seed {label}={many}"
            )
