"""On what and with what figures are measured: device, versions, the code's commit or digest."""

from __future__ import annotations

from pathlib import Path

import torch

from hsa_bench.core.digest import digest
from hsa_bench.core.runs.provenance import provenance

ROOT = Path(__file__).parents[2]
FOLDERS = ("hsa_bench", "pretrain", "eval_tasks", "reports", "tools", "tests/device", "tests/support")
"""Whose code can change a figure."""


def made_with(device: str, tiny: bool) -> dict[str, str]:
    """What to write beside every figure."""
    said = provenance("make device", device)
    clean = bool(said.commit) and not said.dirty
    return {
        "device": said.hardware.get("gpu", device),
        "size": "tiny" if tiny else "full",
        "hsa_bench": said.version,
        "code": said.commit[:10] if clean else f"{said.commit[:10]} {code()}".strip(),
        "python": said.python,
        "torch": torch.__version__,
        "torchvision": said.packages.get("torchvision", ""),
        **{name: said.hardware.get(name, "") for name in ("cuda", "cudnn", "driver")},
    }


def code() -> str:
    """A digest of the code, which a copy without its history has too."""
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return digest(*(f"{path.relative_to(ROOT)}\0{path.read_text(encoding='utf-8')}\0" for path in files))[:10]
