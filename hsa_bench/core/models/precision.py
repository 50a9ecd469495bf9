"""The number format that a frozen trunk computes in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "bfloat16", "float32"]


def chosen(precision: Precision, device: str) -> Precision:
    """What "auto" means on a device: bfloat16 where the processor computes in it, else float32."""
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = _cpu_has_bfloat16()
    return "bfloat16" if has else "float32"


@cache
def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; elsewhere torch imitates it, slowly."""
    about = Path("/proc/cpuinfo")
    words = set(about.read_text(encoding="utf-8").split()) if about.exists() else set()
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
