"""Do runs and feature passes one by one, in a worker process that is replaced when it dies or hangs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from hsa_bench.core.context import unheard
from hsa_bench.core.files import set_aside
from hsa_bench.core.models.network_print import differ
from hsa_bench.core.processes import alone, from_first, rank
from hsa_bench.core.results.feature_pass import SharedFeatures
from hsa_bench.core.results.result import Failure, TaskResult
from hsa_bench.core.runs.execute import Bench, execute, record
from hsa_bench.core.runs.feature_pass import FeaturePass
from hsa_bench.core.runs.order import Order
from hsa_bench.core.runs.plan import Run
from hsa_bench.core.runs.time_limit import TimeIsUp, no_end, silent
from hsa_bench.core.runs.worker_process import WorkerDied, WorkerProcess

Watch = Callable[[Run | FeaturePass, str, int, int], None]
"""Called as (run or pass, description, done, total) while it goes on."""

Say = Callable[[str], None]
"""Called with a line for a person."""


def finished(run: Run, bench: Bench) -> TaskResult | None:
    """Return the result on file; None where the run is to be done: it failed, or was of another network."""
    result = bench.store.get(run.label, run.spec.task, run.spec.key)
    return None if result is None or result.status == "failed" or of_another(run, result) else result


def of_another(run: Run, result: TaskResult) -> bool:
    """Whether a result is of a network of the same key that does something else; see `network_print`."""
    return result.status != "failed" and differ(run.print, result.network_print)


def aside_if_of_another(run: Run, bench: Bench) -> str:
    """Set a result of another network aside; return a sentence that says so, empty where there is none.

    Raises:
        OSError: It cannot be renamed.
    """
    result = bench.store.get(run.label, run.spec.task, run.spec.key)
    if result is None or not of_another(run, result):
        return ""
    aside = set_aside(bench.store.path(run.label, run.spec.task, run.spec.key))
    return (
        f"{run.label} {run.spec.task}, seed {run.spec.seed}: the result on file is of another network, whose "
        f"features of fixed pictures differ; set aside as {aside.name}, and computed again"
    )


def run_in_worker(
    orders: Iterable[Run | FeaturePass], bench: Bench, watch: Watch, say: Say = unheard
) -> Iterator[TaskResult]:
    """Do runs and feature passes in order; yield each run's result, written to the store, before the next.

    A run that raises, whose process dies, or that does not end in the bench's time, is one failed result; the
    others go on. A pass that does not come through is a word: the runs after it make their own features, and
    go on from its pieces. It has the time of as many runs as it has backbones.
    """
    worker = Worker(bench, say)
    try:
        for order in orders:
            if isinstance(order, FeaturePass):
                worker.share(order, watch)
            else:
                yield worker.do(order, watch)
    finally:
        worker.stop()


def run_together(runs: Iterable[Run], bench: Bench, watch: Watch, say: Say = unheard) -> Iterator[TaskResult]:
    """Do runs in the processes that torchrun started, without workers: it ends them all when one dies.

    Tasks that cannot be shared are run by the first process while the others wait. A run that does not end in
    the bench's time ends the command, as no process can be taken from the others.
    """
    for run in runs:

        def progress(description: str, done: int, total: int, run: Run = run) -> None:
            watch(run, description, done, total)

        def told(text: str, run: Run = run) -> None:
            say(f"{_name(run)}: {text}")

        own = replace(bench, ctx=replace(bench.ctx, progress=progress, say=told), timeout=None)
        result: TaskResult | None = None
        with _all_ended(run, bench, say):
            if run.task().together:
                result = execute(run, own)
            elif rank() == 0:
                with alone():
                    result = execute(run, own)
        yield from_first(result)


@contextmanager
def _all_ended(run: Run, bench: Bench, say: Say) -> Iterator[None]:
    """End this process if a block takes longer than the bench allows; torchrun then ends the others."""
    limit = bench.timeout
    if limit is None or rank() > 0:
        yield
        return

    def end() -> None:
        failure = Failure(kind="killed", message=no_end(limit))
        try:
            bench.store.settle(record(run, bench, "failed", failure=failure))
            say(
                f"{_name(run)}: {no_end(limit)}; processes of torchrun end together, so the command ends here"
            )
        finally:  # also where nothing can be written
            os._exit(1)

    timer = threading.Timer(limit, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@dataclass
class Worker:
    """A worker process that is started when it is needed, and again when it has died."""

    bench: Bench
    say: Say
    process: WorkerProcess | None = field(default=None)
    given_up: bool = False
    """Whether what it does is wanted no more; set by another thread."""

    def do(self, run: Run, watch: Watch) -> TaskResult:
        """Do a run, and return its result as it is on file."""
        try:
            return self._done(run, self._started(), watch)
        except (WorkerDied, TimeIsUp) as error:
            if self.given_up:
                raise
            failure = Failure(kind="killed", message=str(error))
        self.stop()
        return self.bench.store.settle(record(run, self.bench, "failed", failure=failure))

    def _started(self) -> WorkerProcess:
        if self.process is None:
            self.process = WorkerProcess.start(self.bench)
        if self.given_up:
            self.stop()
            raise WorkerDied("it is not wanted any more")
        return self.process

    def _done(self, run: Run, process: WorkerProcess, watch: Watch) -> TaskResult:
        event = self._last_event(run, process, watch, self.bench.timeout)
        if event["event"] == "failed":  # not from the store, where a number may stand
            if not self.bench.ctx.device.startswith("cpu"):
                self.stop()  # after a fault on a GPU a process can compute nothing there any more
            return TaskResult.model_validate_json(event["result"])
        result = self.bench.store.get(run.label, run.spec.task, run.spec.key)
        if result is None:
            raise WorkerDied("the result was written and is gone; somebody removed it")
        return result

    def share(self, features: FeaturePass, watch: Watch) -> None:
        """Do a feature pass; say what it took, or why it did not come through."""
        limit = self.bench.timeout and self.bench.timeout * len(features.labels)
        try:
            event = self._last_event(features, self._started(), watch, limit)
            if event["event"] == "done":
                self.say(in_words(features, SharedFeatures.model_validate_json(event["made"])))
                return
            fault = event["message"]
        except (WorkerDied, TimeIsUp) as error:
            fault = str(error)
        self.stop()  # a device may be in no state for the next
        self.say(f"{features.title}: {fault}; the runs make their features one by one")

    def _last_event(
        self, order: Run | FeaturePass, process: WorkerProcess, watch: Watch, limit: float | None
    ) -> dict[str, Any]:
        """Give an order, pass on what is told meanwhile, and return how it ended."""
        process.say(_order(order).model_dump(mode="json"))
        for event in process.events(limit, lambda s: self.say(silent(_name(order), s, limit))):
            if event["event"] == "progress":
                watch(order, event["description"], event["done"], event["total"])
            elif event["event"] == "say":
                self.say(f"{_name(order)}: {event['text']}")
            else:
                return event
        raise WorkerDied("the worker process tells nothing more")

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def give_up(self) -> None:
        """End the process while another thread waits for it; of the run under way nothing is written."""
        self.given_up = True
        if (process := self.process) is not None:
            process.stop()


def in_words(features: FeaturePass, made: SharedFeatures) -> str:
    """Say what a feature pass took."""
    if not (made.images or made.left_out):
        return f"{features.title}: found on file"
    left_out = f", without {', '.join(made.left_out)}" if made.left_out else ""
    rounds = f" in each of {made.rounds} rounds, as memory allows" if made.rounds > 1 else ""
    return f"{features.title}{rounds} ({made.seconds:.1f} s){left_out}"


def _order(order: Run | FeaturePass) -> Order:
    return Order(features=order) if isinstance(order, FeaturePass) else Order(run=order)


def _name(run: Run | FeaturePass) -> str:
    if isinstance(run, FeaturePass):
        return run.title.partition(":")[0]
    seed = f", seed {run.spec.seed}" if run.task().seeded else ""
    return f"{run.label} {run.spec.task}{seed}"
