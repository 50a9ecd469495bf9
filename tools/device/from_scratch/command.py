"""The suite's own command for a while: asked to stop where time is over, it goes on in a later call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hsa_bench.core.commands.stopping import stopped_with_a_word
from tools.device.made_with import ROOT
from tools.device.piece import Call

STOPPING = 30.0
"""Seconds that it has to end once it is asked to, its loader processes with it."""


def go_on(preset: Path, out: Path, workers: int, call: Call) -> int | None:
    """Run a preset until it is done or time is over.

    Ctrl-C and TERM end it too, and then this process.

    Returns:
        The command's exit code; None where it was stopped.
    """
    asked = [sys.executable, "-W", "default", "-m", "hsa_bench.run", "--preset", str(preset)]
    asked += ["--data", str(call.data), "--device", call.device, "--workers", str(workers), "--out", str(out)]
    with stopped_with_a_word(), log_of(out).open("a", encoding="utf-8") as log:
        process = subprocess.Popen(asked, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            return process.wait(max(1.0, call.left - STOPPING))
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def log_of(out: Path) -> Path:
    """Name the file beside the run's folder that has what the command said."""
    return out.with_name(f"{out.name}.log")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
