"""The number format of a training, and the same bits each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.models.precision import fault_of_tf32
from hsa_bench.core.tf32 import tf32
from pretrain.settings import Precision


def refuse_unknown(precision: Precision, device: str) -> None:
    """Refuse a number format that a device does not compute in.

    Raises:
        PretrainingError: It is asked for there; the message names what to take.
    """
    if precision == "tf32" and (fault := fault_of_tf32(device)):
        raise PretrainingError(f"precision tf32: {fault}, so take 32-true or bf16-mixed here")
    if precision == "64-true" and device == "mps":
        raise PretrainingError("precision 64-true: mps has no float64; take 32-true here, or device cpu")


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """Run a block with or without TF32, and on a GPU with deterministic convolutions.

    So a stopped training resumes bit for bit. Some convolutions are slower, as cuDNN may choose among
    deterministic kernels alone and does not time them.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    try:
        cudnn.deterministic, cudnn.benchmark = True, False
        with tf32(precision == "tf32"):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
