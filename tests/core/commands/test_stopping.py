from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hsa_bench.core.commands.stopping import RESUME, stopped_with_a_word
from tests.support.command import environment
from tests.support.processes import no_child_is_left

pytestmark = pytest.mark.processes

WORK = """
import os, signal, subprocess, sys, time
from hsa_bench.core.commands import stopping
from hsa_bench.core.commands.stopping import stopped_with_a_word
{before}
with stopped_with_a_word():
    try:
        print("at work", flush=True)
        {work}
    finally:
        {cleaning}
"""


def work(
    before: str = "", work: str = "time.sleep(1000)", cleaning: str = "print('cleaned')", **variables: str
) -> subprocess.Popen[str]:
    """Start a command at work."""
    code = WORK.format(before=before, work=work, cleaning=cleaning)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_cleans_up_and_ends_with_one_sentence(number: int, code: int) -> None:
    process = work()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (code, "cleaned\n", f"{RESUME}\n")


def test_a_second_signal_does_not_wait_and_ends_what_was_started(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    before = (
        "child = subprocess.Popen(['sleep', '1000'], process_group=0, stdout=2)\n"
        f"open({str(flag)!r}, 'w').write(str(child.pid)); stopping.GROUPS.add(child.pid)"
    )
    with no_child_is_left(flag):
        process = work(before, cleaning="print('cleaning', flush=True); time.sleep(1000)")
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (143, f"{RESUME}\n")


def test_what_was_ignored_stays_ignored_as_under_nohup() -> None:
    process = work("signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == f"{RESUME}\n"
    assert process.returncode == 143


def test_loader_processes_end_without_a_word() -> None:
    # Python drops a signal that reaches a fork before it is awake: the parent waits for its word.
    pipe = "ours, its = os.pipe(); child = os.fork()\n        "
    fork = pipe + "if not child: os.write(its, b'.'); time.sleep(1000)\n        "
    kill = "os.read(ours, 1); os.kill(child, signal.SIGTERM); print(os.waitpid(child, 0)[1] >> 8)"
    process = work(work=fork + kill)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "143\ncleaned\n", "")


def test_an_exception_handler_of_a_run_does_not_swallow_it() -> None:
    process = work(work="exec('try: time.sleep(1000)\\nexcept Exception: pass')")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    process.communicate()


def test_only_the_first_process_of_torchrun_says_it() -> None:
    process = work(RANK="1")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == -signal.SIGTERM


def test_handlers_are_given_back_and_another_thread_changes_none() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stopped_with_a_word():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    def enter() -> None:
        with stopped_with_a_word():
            assert signal.getsignal(signal.SIGTERM) == before[1]

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
