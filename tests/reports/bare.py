"""The report's command in a process in which some packages cannot be imported."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
TORCH = ("torch", "torchvision", "timm")

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ImportError(f"{{name}} is blocked in this test")

sys.meta_path.insert(0, Block())
"""

REPORTS = "import runpy; runpy.run_module('reports', run_name='__main__', alter_sys=True)"


def bare(code: str, *arguments: object, without: Sequence[str] = TORCH) -> subprocess.CompletedProcess[str]:
    """Run code with warnings as errors and without those packages."""
    script = BLOCK.format(names=set(without)) + code
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
