"""The process that runs run in: reads orders as lines of JSON, kept alive between them.

Spoken over standard input (orders) and the original standard output (events); anything a library prints
goes to the log. When the parent goes away, so does the worker, at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.commands.streams import take_any_text
from hsa_bench.core.context import Context
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.result import Provenance
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.feature_pass import FeaturePass
from hsa_bench.core.runs.order import Order
from hsa_bench.core.runs.plan import Run
from hsa_bench.core.runs.share_features import share_features
from hsa_bench.core.tf32 import no_tf32

PROGRESS_SECONDS = 0.2
"""At least this long between two progress events."""

PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""


def main() -> None:
    """Serve until standard input closes."""
    _die_with_parent()
    events, lines = _private_streams()
    sys.path[:0] = [p for p in json.loads(os.environ.get("HSA_BENCH_PATH", "[]")) if p not in sys.path]
    orders: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(lines, orders), daemon=True).start()
    no_tf32()
    bench = _bench(json.loads(orders.get()), events)
    _emit(events, event="ready")
    while True:
        order = Order.model_validate_json(orders.get())
        if order.run:
            _run(order.run, bench, events)
        if order.features:
            _share(order.features, bench, events)


def _run(run: Run, bench: Bench, events: IO[str]) -> None:
    result = execute(run, bench, None if run.skipped else _loaded(run.backbone))
    if result.status == "failed":
        _emit(events, event="failed", result=result.model_dump_json())
        _loaded.cache_clear()
    else:
        _emit(events, event="done")


def _share(features: FeaturePass, bench: Bench, events: IO[str]) -> None:
    _loaded.cache_clear()  # its memory is for those of the pass
    try:
        made = share_features(features, bench)
    except Exception as error:
        _emit(events, event="failed", message=f"{type(error).__name__}: {error}")
    else:
        _emit(events, event="done", made=made.model_dump_json())


def _private_streams() -> tuple[IO[str], IO[str]]:
    """Take the pipes to the parent for ourselves, and leave libraries the log and an empty input.

    A loader process is a fork and closes its standard input, which would wait for ever for the lock that our
    listening thread holds on it.
    """
    events, lines = _text(os.dup(1), "w"), _text(os.dup(0), "r")
    os.dup2(2, 1)
    take_any_text()
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 (open as long as the process)
    os.dup2(sys.stdin.fileno(), 0)
    return events, lines


def _text(handle: int, mode: Literal["r", "w"]) -> IO[str]:
    return os.fdopen(handle, mode, buffering=1, encoding="utf-8")


def _listen(lines: IO[str], orders: queue.Queue[str]) -> None:
    for line in lines:
        orders.put(line)
    if os.getpgrp() == os.getpid():  # a group of our own: its loader processes end with it
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _die_with_parent() -> None:
    """Ask the system (Linux) for it, as one that hangs does not see its input close."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@lru_cache(maxsize=1)
def _loaded(request: BackboneRequest) -> Backbone | None:
    """The backbone of the run, kept for the next one; None lets `execute` report why it fails."""
    try:
        return open_backbone(request)
    except Exception:
        return None


def _bench(setup: dict[str, Any], events: IO[str]) -> Bench:
    last = 0.0

    def progress(description: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > PROGRESS_SECONDS or done in (0, total):
            last = now
            _emit(events, event="progress", description=description, done=done, total=total)

    return Bench(
        store=Store(Path(setup["out"])),
        ctx=Context(
            data_root=Path(setup["data_root"]),
            cache=Path(setup["cache"]),
            device=setup["device"],
            workers=setup["workers"],
            compile=setup["compile"],
            progress=progress,
            say=lambda text: _emit(events, event="say", text=text),
        ),
        provenance=Provenance.model_validate(setup["provenance"]),
    )


def _emit(events: IO[str], **event: Any) -> None:
    events.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
