"""Do runs one after the other, in a worker process that is replaced when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from hsa_bench.core.processes import alone, from_first, rank
from hsa_bench.core.results.result import Failure, TaskResult
from hsa_bench.core.runs.execute import Bench, execute, record
from hsa_bench.core.runs.plan import Run

PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""Waiting threads sleep: on shared cores, spinning slows small networks three to nine times."""

Watch = Callable[[Run, str, int, int], None]
"""Called as (run, description, done, total) while a run goes on."""


def finished(run: Run, bench: Bench) -> TaskResult | None:
    """Return the result on file, if the run need not be done again: failed ones are."""
    result = bench.store.get(run.label, run.spec.task, run.spec.key)
    return result if result is not None and result.status != "failed" else None


def run_in_worker(runs: Iterable[Run], bench: Bench, watch: Watch) -> Iterator[TaskResult]:
    """Do runs in order, each written to the store before the next begins.

    A run that raises, or whose process dies, is one failed result; the others go on.
    """
    worker = _Worker(bench)
    try:
        for run in runs:
            yield worker.do(run, watch)
    finally:
        worker.stop()


def run_together(runs: Iterable[Run], bench: Bench, watch: Watch) -> Iterator[TaskResult]:
    """Do runs in the processes that torchrun started, without workers: it ends them all when one dies.

    Tasks that cannot be shared are run by the first process while the others wait.
    """
    for run in runs:

        def progress(description: str, done: int, total: int, run: Run = run) -> None:
            watch(run, description, done, total)

        own = replace(bench, ctx=replace(bench.ctx, progress=progress))
        result: TaskResult | None = None
        if run.task().together:
            result = execute(run, own)
        elif rank() == 0:
            with alone():
                result = execute(run, own)
        yield from_first(result)


@dataclass
class _Worker:
    bench: Bench
    process: subprocess.Popen[str] | None = field(default=None)

    def do(self, run: Run, watch: Watch) -> TaskResult:
        process = self.process or self._start()
        try:
            _say(process, run.model_dump_json())
            for line in _output(process):
                event = json.loads(line)
                if event["event"] == "failed":  # not from the store, where a number may stand
                    return TaskResult.model_validate_json(event["result"])
                if event["event"] == "done":
                    result = self.bench.store.get(run.label, run.spec.task, run.spec.key)
                    assert result is not None, "a worker reports a run done only after writing it"
                    return result
                watch(run, event["description"], event["done"], event["total"])
        except BrokenPipeError:
            pass  # it died before it could read the run
        failure = Failure(kind="killed", message=_how_it_ended(process.wait()))
        self.stop()
        return self.bench.store.settle(record(run, self.bench, "failed", failure=failure))

    def _start(self) -> subprocess.Popen[str]:
        log = self.bench.store.out / "logs" / "worker.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        path = [folder or str(Path.cwd()) for folder in sys.path]
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hsa_bench.core.runs.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**PATIENT, **os.environ, "HSA_BENCH_PATH": json.dumps(path)},
            )
        ctx = self.bench.ctx
        setup = {
            "out": str(self.bench.store.out),
            "data_root": str(ctx.data_root),
            "cache": str(ctx.cache),
            "device": ctx.device,
            "workers": ctx.workers,
            "provenance": self.bench.provenance.model_dump(),
        }
        _say(self.process, json.dumps(setup))
        return self.process

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for pipe in filter(None, (self.process.stdin, self.process.stdout)):
            with suppress(BrokenPipeError):
                pipe.close()
        self.process = None


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"the worker process ended with exit code {code}; see logs/worker.log"
    name = signal.Signals(-code).name
    hint = "; often the system's answer to running out of memory" if name == "SIGKILL" else ""
    return f"the worker process was killed by {name}{hint}"
