"""The number format that a frozen trunk computes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from hsa_bench.core.errors import UsageError
from hsa_bench.core.tf32 import tf32

COMPILED: Literal["bfloat16-compiled"] = "bfloat16-compiled"

Precision = Literal["auto", "bfloat16", "float32", "tf32", "bfloat16-compiled"]
"""float32 is float32 on a GPU too; "tf32" rounds what products and convolutions take to 10 bits, on NVIDIA's
GPUs from Ampere on. "bfloat16-compiled" is bfloat16 through torch.compile, which rounds at fewer places:
features move by 4e-3 of their norm, as much as bfloat16 itself moves them. In float32 they move by 8e-7, so
that there it does not matter to a result whether the network was compiled."""


def chosen(precision: Precision, device: str, compile: bool = False) -> Precision:
    """Replace "auto" by bfloat16 where the device computes in it, else by float32.

    Args:
        precision: As asked for.
        device: Where it computes.
        compile: Whether torch.compile is asked for, with which bfloat16 becomes "bfloat16-compiled".

    Raises:
        UsageError: TF32 is asked for where there is none.
    """
    refuse_missing_tf32(precision, device)
    if precision == "auto":
        precision = "bfloat16" if _has_bfloat16(device) else "float32"
    return COMPILED if compile and precision == "bfloat16" else precision


def refuse_missing_tf32(precision: Precision, device: str) -> None:
    """Refuse TF32 on a device that does not compute in it.

    Raises:
        UsageError: It is asked for there; the message names what to take.
    """
    if precision == "tf32" and (fault := fault_of_tf32(device)):
        raise UsageError(f"precision=tf32: {fault}, so take precision=float32 or bfloat16 here")


@contextmanager
def computing_in(precision: Precision, device: str | torch.device) -> Iterator[None]:
    """Compute a block in a number format: autocast for bfloat16; TF32 on for "tf32", and off for the others.

    Args:
        precision: Not "auto"; see `chosen`.
        device: Where it computes.
    """
    assert precision != "auto", "wants the number format that `chosen` gives"
    half = torch.autocast(
        torch.device(device).type, dtype=torch.bfloat16, enabled=precision in {"bfloat16", COMPILED}
    )
    with rounding_for(precision, device), half:
        yield


def rounding_for(precision: Precision, device: str | torch.device) -> AbstractContextManager[None]:
    """Switch TF32 on for "tf32" and off for the others while a block runs, on a GPU; without autocast."""
    return tf32(precision == "tf32") if torch.device(device).type == "cuda" else nullcontext()


def _has_bfloat16(device: str) -> bool:
    if not device.startswith("cuda"):
        return _cpu_has_bfloat16()
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def fault_of_tf32(device: str) -> str:
    """Say why a device does not compute in TensorFloat-32; empty where it does."""
    nvidia = device.startswith("cuda") and torch.version.cuda is not None
    if nvidia and torch.cuda.get_device_capability(device)[0] >= 8:
        return ""
    return (
        f"{device} does not compute in TensorFloat-32; NVIDIA's GPUs from Ampere on (A100, H100, RTX 30) do"
    )


@cache
def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; elsewhere torch imitates it, slowly."""
    about = Path("/proc/cpuinfo")
    words = set(about.read_text(encoding="utf-8").split()) if about.exists() else set()
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
