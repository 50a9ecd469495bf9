"""Where a run happens: its folder, data, device and loader processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hsa_bench.core.errors import UsageError

if TYPE_CHECKING:
    from hsa_bench.core.runs.execute import Bench


@dataclass(frozen=True)
class Place:
    """What of the command changes no number."""

    out: Path
    data: Path
    device: str = "auto"
    workers: int = 0

    def bench(self) -> Bench:
        """Make the folder and look at the machine.

        Raises:
            UsageError: The folder cannot be written, or there is no such device.
        """
        from hsa_bench.core.context import Context
        from hsa_bench.core.results.store import Store
        from hsa_bench.core.runs.execute import Bench
        from hsa_bench.core.runs.provenance import provenance

        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {self.out}: {error.strerror}") from error
        from hsa_bench.core.processes import join

        device = join(_device(self.device))
        return Bench(
            store=Store(self.out),
            ctx=Context(data_root=self.data, cache=self.out / "cache", device=device, workers=self.workers),
            provenance=provenance(device=device),
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
