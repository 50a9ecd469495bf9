"""Do the measurements of a piece one after the other, and keep what each gives at once."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tools.device.piece import Call
from tools.device.piece_folder import PieceFolder
from tools.device.row import Row


@dataclass(frozen=True)
class Bench:
    """Where a measurement runs."""

    device: str
    tiny: bool
    scratch: Path
    """A folder that vanishes afterwards."""

    @property
    def on_gpu(self) -> bool:
        """Whether there is a GPU, and so half precision and memory of its own."""
        return self.device.startswith("cuda")

    def size(self, full: int, tiny: int) -> int:
        """One of two sizes."""
        return tiny if self.tiny else full

    def wait(self) -> None:
        """Wait until the device has done all it was asked for."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], rounds: int = 3) -> float:
        """The least wall time of some rounds of work, after one that is not counted."""
        times = []
        for turn in range(1 if self.tiny else rounds + 1):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            times += [time.perf_counter() - start] if turn or self.tiny else []
        return min(times)

    def peak(self) -> list[Row]:
        """The most memory of the device that was taken since the measurement began."""
        if not self.on_gpu:
            return []
        return [Row("peak memory of the device", torch.cuda.max_memory_allocated(self.device) / 2**20, "MiB")]


@dataclass(frozen=True)
class Measurement:
    """One part of a piece."""

    name: str
    needs: float
    """Seconds on a GPU, generously: it does not begin with less time left."""
    measure: Callable[[Bench], list[Row]]


def measure(measurements: Sequence[Measurement], call: Call, on_file: PieceFolder) -> list[str]:
    """Do what is missing while there is time; return the names of what is left."""
    by_name = {one.name: one for one in measurements}
    left = on_file.missing(by_name)
    for name in list(left):
        if not call.has_time_for(by_name[name].needs):
            break
        on_file.begin(name)
        start = time.monotonic()
        rows, fault = _rows(by_name[name], call)
        on_file.put(name, rows, time.monotonic() - start, fault)
        left.remove(name)
        print(f"  {name}: {fault or '; '.join(' '.join(row.cells[:2]) for row in rows)}", flush=True)
    return left


def _rows(one: Measurement, call: Call) -> tuple[list[Row], str]:
    try:
        with _bench(call) as bench:
            rows = [*one.measure(bench), *bench.peak()]
            if call.tiny:  # which says nothing of speed
                rows = [replace(row, relation="") for row in rows]
            return rows, ""
    except Exception as error:  # one that fails must not cost the others their turn
        return [], f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@contextmanager
def _bench(call: Call) -> Iterator[Bench]:
    gc.collect()
    if call.device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(call.device)
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(call.device, call.tiny, Path(folder))
