"""One way to start a command: here, in a new interpreter, under torchrun, or without some packages."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from typer import Typer
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
TORCH = ("torch", "torchvision", "timm")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")

Done = subprocess.CompletedProcess[str]

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ImportError(f"{{name}} is blocked in this test")

sys.meta_path.insert(0, Block())
"""

MODULE = """
import runpy
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
"""


def line(module: str, *arguments: object, processes: int = 1) -> list[str]:
    """`python -m module …`, or the same under torchrun."""
    launcher = (*TORCHRUN, str(processes)) if processes > 1 else ()
    return [sys.executable, *launcher, "-m", module, *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """This process's, with our tree and the plug-ins of tests/outside importable from any folder."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "outside")])
    return {**os.environ, "PYTHONPATH": path, **changes}


def start(module: str, *arguments: object, cwd: Path = ROOT, processes: int = 1) -> Done:
    """Run a module's command in a new interpreter, or in as many as torchrun is to start."""
    return _finished(line(module, *arguments, processes=processes), cwd)


def in_background(module: str, *arguments: object, cwd: Path = ROOT) -> subprocess.Popen[bytes]:
    """Start a module's command, to be killed while it runs."""
    return subprocess.Popen(
        line(module, *arguments),
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )


def start_code(
    code: str, *arguments: object, without: Sequence[str] = (), cwd: Path = ROOT, **variables: str
) -> Done:
    """Run code in a new interpreter, with warnings as errors and those packages not importable."""
    script = BLOCK.format(names=set(without)) + code if without else code
    return _finished([sys.executable, "-W", "error", "-c", script, *map(str, arguments)], cwd, **variables)


def start_without(module: str, *arguments: object, without: Sequence[str] = TORCH, cwd: Path = ROOT) -> Done:
    """Run a module's command in a new interpreter in which those packages cannot be imported."""
    return start_code(MODULE, module, *arguments, without=without, cwd=cwd)


def _finished(command: Sequence[str], cwd: Path, **variables: str) -> Done:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env=environment(**variables)
    )


def call(app: Typer, *arguments: object, cwd: Path = ROOT, worker: bool = False) -> Done:
    """Run a command in this process, as nothing of it needs an interpreter of its own.

    Args:
        app: The command.
        arguments: As typed.
        cwd: Folder to be in meanwhile.
        worker: Whether cells run in the worker process that the command has; if not, they run here.
    """
    given = [str(argument) for argument in arguments]
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd))
        if not worker:
            stack.enter_context(runs_done_here())
        done = CliRunner().invoke(app, given)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(given, done.exit_code, done.stdout, done.stderr)


def runs_done_here() -> contextlib.AbstractContextManager[object]:
    """Do runs in this process: the worker's own loop without the second import of torch."""
    from hsa_bench.core.runs import runner

    return mock.patch.object(runner, "Worker", _Here)


@dataclass
class _Here:
    """Stands for the worker process; what only a process can do (be killed) is tested on the real one."""

    bench: Any
    say: Any = None

    def do(self, run: Any, watch: Callable[..., None]) -> Any:
        from hsa_bench.core.runs.execute import execute

        ctx = replace(self.bench.ctx, progress=lambda *told: watch(run, *told), say=self.say or print)
        return execute(run, replace(self.bench, ctx=ctx))

    def share(self, features: Any, watch: Callable[..., None]) -> None:
        from hsa_bench.core.runs.runner import in_words
        from hsa_bench.core.runs.share_features import share_features

        say = self.say or print
        ctx = replace(self.bench.ctx, progress=lambda *told: watch(features, *told), say=say)
        try:
            say(in_words(features, share_features(features, replace(self.bench, ctx=ctx))))
        except Exception as error:
            say(f"{features.title}: {type(error).__name__}: {error}; the runs make their features one by one")

    def stop(self) -> None:
        """Nothing is left behind."""
