"""What a number was made with: commit, versions, hardware, command line."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hsa_bench.core.results.result import Provenance
from hsa_bench.core.runs.hardware import hardware
from hsa_bench.version import __version__

PACKAGES = (
    "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pandas", "faiss-cpu", "faiss-gpu",
    "pycocotools", "lightning-fabric", "pillow", "simplejpeg", "kornia", "detectron2",
)  # fmt: skip
"""Libraries of whose version a number can depend; those that are not installed are left out."""


def provenance(command: str = "", device: str = "cpu") -> Provenance:
    """Describe this process, now.

    Args:
        command: What the user typed; by default this process's own command line.
        device: Where tensors live.
    """
    commit, dirty = _commit()
    return Provenance(
        version=__version__,
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        hardware=hardware(device),
        command=command or command_line(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def command_line() -> str:
    """The command as the user may type it again: `python -m package.module …`."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    program = f"python -m {spec.name.removesuffix('.__main__')}" if spec else Path(sys.argv[0]).name
    typed = f"{program} {shlex.join(sys.argv[1:])}".strip()
    return typed.encode(errors="backslashreplace").decode()  # names of files need not be text


@lru_cache(maxsize=1)
def _commit() -> tuple[str, bool]:
    """Commit of the checkout this package runs from, and whether it has changes; "" if none."""
    here = Path(__file__).parents[3]
    if not (here / ".git").exists():
        return "", False
    head, status = _git(here, "rev-parse", "HEAD"), _git(here, "status", "--porcelain")
    return head, bool(status)


def _git(here: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, check=False)
    return done.stdout.decode(errors="replace").strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
