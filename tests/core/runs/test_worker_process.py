from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hsa_bench.core.commands import stopping
from hsa_bench.core.errors import Unwritable
from hsa_bench.core.runs import time_limit, worker_process
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.time_limit import TimeIsUp
from hsa_bench.core.runs.worker_process import WorkerDied, WorkerProcess
from tests.support.processes import no_child_is_left

READY = """
import json, os, signal, sys, time
def tell(**event): print(json.dumps(event), flush=True)
tell(event="ready")
sys.stdin.readline()
"""

CHILD = """
child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
open(sys.argv[1], "w").write(str(child))
"""


def worker(code: str, *arguments: object, log: Path) -> WorkerProcess:
    """A process that speaks as workers do, without their imports."""
    log.touch()
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            process_group=0,
        )
    made = WorkerProcess(process, log)
    made.listen()
    return made


def silence(seconds: float) -> None:
    raise AssertionError(f"{seconds} s of silence are few")


@pytest.mark.parametrize("hang", ["time.sleep(1000)", "os.kill(os.getpid(), signal.SIGSTOP)"])
def test_one_that_hangs_is_noticed_and_ended_with_its_children(
    hang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "QUIET", 0.3)
    quiet: list[float] = []
    with no_child_is_left(tmp_path / "flag"):
        made = worker(READY + CHILD + hang, tmp_path / "flag", log=tmp_path / "log")
        made.say({"run": 1})
        start = time.monotonic()
        with pytest.raises(TimeIsUp, match="no end after 1 s: --timeout"):
            list(made.events(1.0, quiet.append))
        assert time.monotonic() - start > 1
        made.stop()
    assert 2 <= len(quiet) <= 3
    assert quiet[0] == pytest.approx(0.3, abs=0.2)
    assert made.process.returncode == -signal.SIGKILL


def test_one_that_moves_is_left_alone_until_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "QUIET", 5.0)
    moves = "for i in range(100): tell(event='progress', done=i); time.sleep(0.1)"
    made = worker(READY + moves, log=tmp_path / "log")
    made.say({"run": 1})
    told = []
    with pytest.raises(TimeIsUp):
        told += [event["done"] for event in made.events(1.0, silence)]
    made.stop()


def test_one_that_does_not_start_says_its_last_words_and_the_log(tmp_path: Path) -> None:
    made = worker("import nothing_of_that_name", log=tmp_path / "worker.log")
    made.say({"run": 1})
    with pytest.raises(WorkerDied) as caught:
        list(made.events(None, silence))
    made.stop()
    assert str(caught.value) == (
        "the worker process did not start (ModuleNotFoundError: No module named 'nothing_of_that_name'); "
        f"see {tmp_path / 'worker.log'}"
    )


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("sys.exit(3)", "the worker process ended with exit code 3; see "),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "killed by SIGKILL; often the system's answer to running out",
        ),
        ("os.abort()", "the worker process was killed by SIGABRT"),
    ],
)
def test_one_that_ends_says_how(end: str, message: str, tmp_path: Path) -> None:
    made = worker(READY + end, log=tmp_path / "log")
    made.say({"run": 1})
    with pytest.raises(WorkerDied, match=message):
        list(made.events(60.0, silence))
    made.stop()


def test_one_that_closes_its_output_and_stays_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsa_bench.core.runs.worker_process.LAST_WORDS", 0.2)
    made = worker(READY + "os.close(1); time.sleep(1000)", log=tmp_path / "log")
    made.say({"run": 1})
    with pytest.raises(WorkerDied, match="the worker process went silent; see "):
        list(made.events(None, silence))
    made.stop()
    assert made.process.returncode == -signal.SIGKILL


def test_a_place_for_the_log_that_cannot_be_is_named_with_the_remedy(bench: Bench) -> None:
    bench.store.out.mkdir()
    (bench.store.out / "logs").touch()
    with pytest.raises(Unwritable, match=r"logs/worker\.log: .*; move what is in the way"):
        WorkerProcess.start(bench)


def test_a_process_that_the_system_does_not_start_is_a_failed_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerDied, match="no worker process could be started"):
        WorkerProcess.start(bench)
    assert not stopping.GROUPS


def test_one_that_dies_is_noticed_while_its_loader_process_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "LOOK_EVERY", 0.2)
    with no_child_is_left(tmp_path / "flag"):
        made = worker(
            READY + CHILD + "os.kill(os.getpid(), signal.SIGKILL)", tmp_path / "flag", log=tmp_path / "l"
        )
        made.say({"run": 1})
        with pytest.raises(WorkerDied, match="killed by SIGKILL"):
            list(made.events(30.0, silence))
        made.stop()


def test_one_that_dies_within_a_word_is_dead(tmp_path: Path) -> None:
    dies = 'sys.stdout.write(\'{"event": "fai\'); sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)'
    made = worker(READY + dies, log=tmp_path / "log")
    made.say({"run": 1})
    with pytest.raises(WorkerDied, match="killed by SIGKILL"):
        list(made.events(30.0, silence))
    made.stop()
