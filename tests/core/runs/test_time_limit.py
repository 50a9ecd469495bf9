from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import UsageError
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Run, default_task, make_plan
from hsa_bench.core.runs.runner import run_in_worker
from hsa_bench.core.runs.time_limit import alarm, check_alarm, in_words, parse_duration
from hsa_bench.suite.make_job import make_job
from tests.support.processes import no_child_is_left


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("90m", 5400, "1 h 30 min"),
        ("2h", 7200, "2 h"),
        ("1h30m", 5400, "1 h 30 min"),
        (" 45S ", 45, "45 s"),
        ("1d2h", 93600, "1 d 2 h"),
    ],
)
def test_a_duration_is_read_and_said(text: str, seconds: float, words: str) -> None:
    assert parse_duration(text) == seconds
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    "text",
    ["90", 90, 5400.0, "0m", "-2h", "2 hours", "h", "1m1h", "1e9s", "9" * 5000 + "d", "400d", True, "∞"],
)
def test_a_duration_without_unit_or_sense_is_refused_with_examples(text: object) -> None:
    with pytest.raises(ValueError, match="write a duration with its unit, for example 90m, 2h or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("nothing", ["", None])
def test_no_duration_is_no_limit(nothing: str | None) -> None:
    assert parse_duration(nothing) is None


def test_a_preset_and_an_option_may_limit_runs_and_say_which_is_wrong(tmp_path: Path) -> None:
    preset = tmp_path / "some.yaml"
    preset.write_text("dataset: digits\narch: pixels\ntimeout: 90m\n")
    assert make_job(str(preset), {}, []).timeout == 5400
    assert make_job(str(preset), {"timeout": "2h"}, []).timeout == 7200
    preset.write_text("dataset: digits\narch: pixels\ntimeout: 90\n")
    with pytest.raises(UsageError, match=r"some.yaml.*timeout: .*write a duration with its unit"):
        make_job(str(preset), {}, [])


def test_only_the_main_thread_can_end_itself() -> None:
    refused: list[str] = []

    def check() -> None:
        try:
            check_alarm(1.0)
        except UsageError as error:
            refused.append(str(error))

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    assert "main thread" in refused[0]
    check_alarm(1.0)


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    with alarm(0.05):
        pass
    time.sleep(0.1)


def hanging(bench: Bench, flag: Path, *names: str) -> tuple[Run, ...]:
    request = BackboneRequest(label="pixels", arch="pixels")
    plugins = {name: f"my_lab.{'my_eval' if name == 'norm' else 'my_hangs'}" for name in names}
    tasks = [
        ChosenTask(plugin, replace(default_task(plugin, name), flag=str(flag)))
        for name, plugin in plugins.items()
    ]
    backbones = [LoadedBackbone(request, open_backbone(request))]
    return make_plan(tasks, backbones, "digits", (0,), None, bench.ctx).runs


@pytest.mark.processes
def test_a_run_in_this_process_that_hangs_is_one_failed_run(bench: Bench, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    [run] = hanging(bench, flag, "sleeps")
    result = execute(run, replace(bench, timeout=1.0))
    os.kill(int(flag.read_text()), signal.SIGKILL)
    assert result.failure is not None
    assert result.failure.message == "no end after 1 s: --timeout"


@pytest.mark.long
@pytest.mark.parametrize("how", ["sleeps", "stops"])
def test_a_worker_that_hangs_is_ended_with_its_children_and_the_next_run_goes_on(
    how: str, bench: Bench, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    results: list[TaskResult] = []
    with no_child_is_left(flag):
        runs = hanging(bench, flag, how, "norm")
        limited = replace(bench, timeout=20.0)  # a worker opens the data meanwhile
        results += run_in_worker(runs, limited, watch=lambda *_: None)
    assert [result.status for result in results] == ["failed", "ok"]
    assert results[0].failure is not None
    assert results[0].failure.message == "no end after 20 s: --timeout"
