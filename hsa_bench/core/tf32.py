"""TensorFloat-32 of NVIDIA's GPUs, off unless asked for: so that float32 means float32.

It keeps 10 of float32's 23 bits in products and convolutions. Left alone, torch computes convolutions in it
and products in float32. Elsewhere than on these GPUs nothing here changes a number.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class _State:
    products: str
    """What torch.get_float32_matmul_precision returns, or "tf32" for TF32 on CUDA alone."""
    convolutions: bool
    """Whether they are in TF32."""


OFF = _State("highest", False)
ON = _State("tf32", True)


def no_tf32() -> None:
    """Compute float32 in float32 from now on, in this process."""
    _set(OFF)


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    """Compute float32 in TF32, or not, while a block runs; what held before holds again after it."""
    before = _now()
    _switch(ON if on else OFF)
    try:
        yield
    finally:
        _switch(before)


def _now() -> _State:
    if not _by_operation():
        return _State(torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    cudnn = torch.backends.cudnn
    convolutions = "tf32" in {cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision}  # type: ignore[attr-defined]  # torch 2.9
    if torch.backends.cuda.matmul.fp32_precision != "tf32":
        return _State("highest", convolutions)
    on_cpu = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]  # torch 2.9
    return _State({"bf16": "medium", "tf32": "high"}.get(on_cpu, "tf32"), convolutions)


def _switch(wanted: _State) -> None:
    if _now() != wanted:
        _set(wanted)


def _set(wanted: _State) -> None:
    """Set torch's older switches and, where it has them, the newer ones by operation, to the same.

    Parts of torch read the older ones and raise where the two differ; the newer ones win over a default that
    somebody set for all operations.
    """
    on_cuda_alone = wanted.products == "tf32"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.9 and later would rather have the newer ones alone
        torch.set_float32_matmul_precision("highest" if on_cuda_alone else wanted.products)
        if on_cuda_alone:
            torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = wanted.convolutions
    if _by_operation():
        cudnn = torch.backends.cudnn
        torch.backends.cuda.matmul.fp32_precision = "ieee" if wanted.products == "highest" else "tf32"
        cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "tf32" if wanted.convolutions else "ieee"  # type: ignore[attr-defined]  # torch 2.9


def _by_operation() -> bool:
    """Tell whether this torch has a switch for each operation, as from 2.9 on."""
    return hasattr(torch.backends, "fp32_precision")
