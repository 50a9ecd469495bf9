"""Where a run happens: its folder, its data, and the machine as it is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hsa_bench.core.errors import UsageError

if TYPE_CHECKING:
    from hsa_bench.core.runs.execute import Bench


def open_bench(out: Path, data: Path, device: str = "auto", workers: int = 0) -> Bench:
    """Make the run's folder and look at the machine. Nothing of this changes a number.

    Args:
        out: Folder for results, cache and report.
        data: Folder that holds the named data sets.
        device: "cpu", "cuda", "cuda:1" …; "auto" takes a GPU where there is one.
        workers: Loader processes.

    Raises:
        UsageError: The folder cannot be written, or there is no such device.
    """
    from hsa_bench.core.context import Context
    from hsa_bench.core.processes import join
    from hsa_bench.core.results.store import Store
    from hsa_bench.core.runs.execute import Bench
    from hsa_bench.core.runs.provenance import provenance

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}") from error
    there = join(_device(device))
    return Bench(
        store=Store(out),
        ctx=Context(data_root=data, cache=out / "cache", device=there, workers=workers),
        provenance=provenance(device=there),
    )


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name}: not usable here ({str(error).splitlines()[0]})") from error
    return name
