from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hsa_bench.core.errors import UsageError
from hsa_bench.core.runs import folder_lock
from hsa_bench.core.runs.folder_lock import refuse_while_worked_in, working_in, working_on
from tests.support.command import environment

HOLD = """
import sys, time
from pathlib import Path
from hsa_bench.core.runs.folder_lock import working_in
with working_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def other(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds a folder until its input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=20)


def test_the_second_process_says_who_works_there_and_waits_until_it_is_done(tmp_path: Path) -> None:
    first = other(tmp_path)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            end(first)

    with working_in(tmp_path, say):
        assert first.returncode == 0
    assert f"{tmp_path}: process {first.pid} on " in said[0]
    assert "waiting until it is done, Ctrl-C leaves" in said[0]
    assert "is free after" in said[1]


def test_a_killed_holder_frees_the_folder(tmp_path: Path) -> None:
    first = other(tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    end(first)
    said: list[str] = []
    with working_in(tmp_path, said.append):
        pass
    assert said == []


def test_who_must_not_wait_is_refused_with_the_name_of_who_works_there(tmp_path: Path) -> None:
    first = other(tmp_path)
    refused = pytest.raises(UsageError, match=rf"process {first.pid} on .* works here; wait until")
    with refused, refuse_while_worked_in(tmp_path):
        raise AssertionError
    end(first)
    with refuse_while_worked_in(tmp_path):
        pass


def test_one_thread_holds_it_twice_and_another_waits_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_lock, "LOOK_EVERY", 0.01)
    inside: list[str] = []

    def work(name: str) -> None:
        with working_in(tmp_path), working_in(tmp_path / "." / ""):
            inside.append(f"{name} begins")
            time.sleep(0.05)
            inside.append(f"{name} ends")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(inside) == 8
    for begins, ends in zip(inside[::2], inside[1::2], strict=True):
        assert begins.replace("begins", "ends") == ends


def test_the_lock_is_free_after_an_error_and_says_nothing_of_who_held_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), working_on(tmp_path / "hsa.pth"):
            raise KeyError
        assert [*tmp_path.iterdir()] == []
    (tmp_path / "hsa.pth").touch()
    with working_on(tmp_path / "hsa.pth"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"hsa.pth", ".hsa.pth.lock"}


def test_where_locks_cannot_be_the_work_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    said: list[str] = []
    with working_in(tmp_path, said.append):
        pass
    assert said == [
        f"{tmp_path / '.lock'}: cannot be locked (No locks available); see that no second command works here"
    ]


def test_a_file_system_without_flock_gets_no_lock_that_outlives_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", missing)
    said: list[str] = []
    for _ in range(2):
        with working_in(tmp_path, said.append):
            pass
    assert len(said) == 2
    assert "cannot be locked" in said[0]


def test_leftovers_of_killed_commands_are_swept_by_the_next_holder(tmp_path: Path) -> None:
    left = tmp_path / "results" / "hsa" / "knn" / ".ab12.json.0123abcd.000000-4194305"
    left.parent.mkdir(parents=True)
    host = folder_lock.sweep.__globals__["_host"]()
    left = left.with_name(left.name.replace("000000", host))
    left.touch()
    kept = left.with_name("ab12.json")
    kept.touch()
    with working_in(tmp_path, leftovers=("results/*/*",)):
        pass
    assert (left.exists(), kept.exists()) == (False, True)
