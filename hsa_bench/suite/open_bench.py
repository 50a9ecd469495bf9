"""Where a run happens: its folder, its data, and the machine as it is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hsa_bench.core.errors import Unwritable, UsageError
from hsa_bench.core.files import FULL, check_writable
from hsa_bench.core.input.user_path import user_path
from hsa_bench.core.runs.folder_lock import held_by_first, working_in

if TYPE_CHECKING:
    from hsa_bench.core.runs.execute import Bench


WRITTEN_IN = ("*", "results/*/*", "cache/*", "cache/features/*")
"""Folders below that of a run, in which files are written beside their place."""


@contextmanager
def at_work(bench: Bench, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a run's folder, once nobody else does, and remove what killed commands were writing there.

    Args:
        bench: Where.
        say: Called with who works there, and when it is free.
    """
    with held_by_first(working_in(bench.store.out, say, WRITTEN_IN)):
        yield


def open_bench(out: Path, data: Path, device: str = "auto", workers: int = 0, compile: bool = False) -> Bench:
    """Make the run's folder and look at the machine. Nothing of this changes a number.

    Args:
        out: Folder for results, cache and report.
        data: Folder that holds the named data sets.
        device: "cpu", "cuda", "cuda:1", "mps" …; "auto" takes a GPU that speaks CUDA where there is one, else
            the CPU. Whatever else torch has is taken when it is named, and marked in the report.
        workers: Loader processes.
        compile: Whether networks are compiled; of a frozen one in bfloat16 that is a precision of its own.

    Raises:
        UsageError: The folder cannot be made or written, or there is no such device.
        Unwritable: Its disk is full.
    """
    from hsa_bench.core.context import Context
    from hsa_bench.core.processes import join
    from hsa_bench.core.results.store import Store
    from hsa_bench.core.runs.execute import Bench
    from hsa_bench.core.runs.provenance import provenance

    out, data = user_path(out), user_path(data)
    try:
        check_writable(out)
    except Unwritable as error:
        if not (out / "plan.json").exists():  # else what is on file there may be all that is wanted
            raise error if error.errno in FULL else UsageError(f"--out {error}") from error
    there = join(_device(device))
    return Bench(
        store=Store(out),
        ctx=Context(data_root=data, cache=out / "cache", device=there, workers=workers, compile=compile),
        provenance=provenance(device=there),
    )


def _device(name: str) -> str:
    import torch

    from hsa_bench.core.devices import fault_of

    device = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    together = os.environ.get("WORLD_SIZE", "1")
    if fault := fault_of(device, int(os.environ.get("LOCAL_WORLD_SIZE", together))):
        raise UsageError(f"--device {name}: {fault}")
    return device
