"""A worker process as its parent sees it: what is told to it, what it tells, and how it is ended."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsa_bench.core.commands import stopping
from hsa_bench.core.cores import cores
from hsa_bench.core.files import unwritable
from hsa_bench.core.runs import time_limit
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.time_limit import TimeIsUp, no_end

PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""Waiting threads sleep: on shared cores, spinning slows small networks three to nine times."""

STARTING = 600.0
"""Seconds a worker has to begin where runs have a limit."""

LOOK_EVERY = 5.0
"""Seconds between two looks whether a silent worker is still there."""

LAST_WORDS = 10.0
"""Seconds a worker has to end once its output is closed."""


def _threads(jobs: int) -> dict[str, str]:
    """Share the cores among workers, unless the user says otherwise; one alone decides for itself."""
    return {"OMP_NUM_THREADS": str(max(1, cores() // jobs))} if jobs > 1 else {}


class WorkerDied(Exception):
    """The worker process ended before the run did; the message says how."""


@dataclass
class WorkerProcess:
    """A process of its own group, so that its loader processes are ended with it."""

    process: subprocess.Popen[str]
    log: Path
    ready: bool = False
    """Whether its imports are done."""
    lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    @classmethod
    def start(cls, bench: Bench) -> WorkerProcess:
        """Start a worker for runs on a bench.

        Raises:
            Unwritable: There is no place for its log.
            WorkerDied: The system starts no process.
        """
        log = bench.store.out / "logs" / "worker.log"
        path = [folder or str(Path.cwd()) for folder in sys.path]
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            errors = log.open("a", encoding="utf-8")
        except OSError as error:
            raise unwritable(error, log) from error
        with errors:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "hsa_bench.core.runs.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    encoding="utf-8",
                    env={**PATIENT, **_threads(bench.jobs), **os.environ, "HSA_BENCH_PATH": json.dumps(path)},
                    process_group=0,
                )
            except OSError as error:
                raise WorkerDied(f"no worker process could be started ({error})") from error
        worker = cls(process, log)
        worker.listen()
        ctx = bench.ctx
        worker.say(
            {
                "out": str(bench.store.out),
                "data_root": str(ctx.data_root),
                "cache": str(ctx.cache),
                "device": ctx.device,
                "workers": ctx.workers,
                "compile": ctx.compile,
                "provenance": bench.provenance.model_dump(),
            }
        )
        return worker

    def listen(self) -> None:
        """Begin to hear what it tells."""
        stopping.GROUPS.add(self.process.pid)
        threading.Thread(target=self._hear, daemon=True).start()

    def say(self, order: dict[str, Any]) -> None:
        """Tell it something; one that is dead does not hear it."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()

    def events(self, limit: float | None, quiet: Callable[[float], None]) -> Iterator[dict[str, Any]]:
        """Yield what it tells.

        Args:
            limit: Seconds the run may take, from when the worker has begun.
            quiet: Called with the seconds since the last event, each time that these have grown by `QUIET`.

        Raises:
            TimeIsUp: The run has not ended in its time.
            WorkerDied: The process has.
        """
        moved = began = time.monotonic()
        told = 0
        while True:
            now = time.monotonic()
            end = began + (limit if self.ready else max(limit, STARTING)) if limit else float("inf")
            if now >= end:
                raise TimeIsUp(no_end(limit or 0))
            look = moved + (told + 1) * time_limit.QUIET
            try:
                line = self.lines.get(timeout=max(0.01, min(end, look, now + LOOK_EVERY) - now))
            except queue.Empty:
                if self.process.poll() is not None:  # a loader process of its holds the pipe open
                    raise WorkerDied(self._how_it_ended()) from None
                if time.monotonic() >= look:
                    told += 1
                    quiet(time.monotonic() - moved)
                continue
            if line is None or not line.endswith("\n"):
                raise WorkerDied(self._how_it_ended())
            moved, told = time.monotonic(), 0
            event = json.loads(line)
            if event["event"] == "ready":
                self.ready, began = True, moved
                continue
            yield event

    def stop(self) -> None:
        """End it and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        stopping.GROUPS.discard(self.process.pid)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.put(line)
        self.lines.put(None)

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(timeout=LAST_WORDS)
        except subprocess.TimeoutExpired:
            return f"the worker process went silent; see {self.log}"
        if not self.ready and code >= 0:
            return f"the worker process did not start ({self._last_words()}); see {self.log}"
        if code >= 0:
            return f"the worker process ended with exit code {code}; see {self.log}"
        name = signal.Signals(-code).name
        hint = "; often the system's answer to running out of memory" if name == "SIGKILL" else ""
        return f"the worker process was killed by {name}{hint}"

    def _last_words(self) -> str:
        try:
            last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        except OSError:
            last = []
        return last[0][:300] if last else f"exit code {self.process.returncode}"
