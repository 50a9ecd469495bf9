"""Do several runs at once, each in a worker process of its own, to keep the cores of a machine busy."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from hsa_bench.core.context import unheard
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.runs import runner
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.feature_pass import FeaturePass
from hsa_bench.core.runs.plan import Run
from hsa_bench.core.runs.runner import Say, Watch, run_in_worker
from hsa_bench.core.runs.worker_process import LAST_WORDS

Order = Run | FeaturePass

Told = Callable[[], None]
"""What a thread wants told, by the thread that the command runs in."""


@dataclass(frozen=True)
class _Ended:
    """An order is done, or has raised what ends the command."""

    order: Order
    by: _Hand
    result: TaskResult | None = None
    error: BaseException | None = None


def run_side_by_side(
    orders: Iterable[Order], bench: Bench, watch: Watch, say: Say = unheard
) -> Iterator[TaskResult]:
    """Do what `run_in_worker` does, as many runs at a time as the bench has jobs; yield them as they end.

    A feature pass has the machine for itself, after all that is ordered before it. Evaluations of the same
    weights follow each other, as they share what they keep.
    """
    if bench.jobs == 1:
        yield from run_in_worker(orders, bench, watch, say)
        return
    waiting, ended = list(orders), queue.Queue[_Ended | Told]()
    hands = [_Hand(bench, ended, watch, say) for _ in range(min(bench.jobs, len(waiting)))]
    try:
        while waiting or any(hand.order for hand in hands):
            for hand in hands:
                order = None if hand.order else _next(waiting, [h.order for h in hands if h.order])
                if order is not None:
                    waiting.remove(order)
                    hand.take(order)
            told = ended.get()
            if not isinstance(told, _Ended):
                told()
                continue
            if told.error is not None:
                raise told.error
            told.by.order = None
            if told.result is not None:
                yield told.result
    finally:
        for hand in hands:
            hand.stop()


def _next(waiting: list[Order], busy: list[Order]) -> Order | None:
    """Return the first order that may begin beside those under way; none overtakes a feature pass."""
    held = {_holds(order) for order in busy if isinstance(order, Run)}
    if any(isinstance(order, FeaturePass) for order in busy):
        return None
    for order in waiting:
        if isinstance(order, FeaturePass):
            return None if busy or order is not waiting[0] else order
        if _holds(order) not in held:
            return order
    return None


def _holds(run: Run) -> str:
    """What only one run at a time may have: frozen weights, or a training of its own."""
    return run.spec.backbone.weights if run.task().frozen else f"{run.label} {run.spec.key}"


@dataclass(eq=False)
class _Hand:
    """A thread with a worker, which takes one order at a time."""

    bench: Bench
    ended: queue.Queue[_Ended | Told]
    watch: Watch
    say: Say
    order: Order | None = None
    orders: queue.Queue[Order | None] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.worker = runner.Worker(self.bench, self._say)
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def take(self, order: Order) -> None:
        """Begin with an order."""
        self.order = order
        self.orders.put(order)

    def stop(self) -> None:
        """End what it does, and its process; nothing is written of a run that is under way."""
        self.worker.give_up()
        self.orders.put(None)
        self.thread.join(LAST_WORDS)

    def _work(self) -> None:
        while (order := self.orders.get()) is not None:
            try:
                if isinstance(order, FeaturePass):
                    self.worker.share(order, self._watch)
                    self.ended.put(_Ended(order, self))
                else:
                    self.ended.put(_Ended(order, self, self.worker.do(order, self._watch)))
            except BaseException as error:  # the command's to raise
                self.ended.put(_Ended(order, self, error=error))

    def _watch(self, order: Order, description: str, done: int, total: int) -> None:
        self.ended.put(lambda: self.watch(order, description, done, total))

    def _say(self, text: str) -> None:
        self.ended.put(lambda: self.say(text))
