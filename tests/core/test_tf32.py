"""torch's switches are the process's, so each test finds and leaves them as they were."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress

import pytest
import torch

from hsa_bench.core import processes
from hsa_bench.core.models.precision import Precision, computing_in
from hsa_bench.core.tf32 import no_tf32, tf32

NEW = hasattr(torch.backends, "fp32_precision")


def old_switches() -> tuple[bool, bool, str]:
    """Reading them raises where they say another thing than the newer ones."""
    return (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
    )


def rounded() -> tuple[bool, bool]:
    """Whether products, and convolutions, are in TF32 by the switches that CUDA's kernels ask."""
    if not NEW:
        return old_switches()[:2]
    cudnn = torch.backends.cudnn
    assert cudnn.conv.fp32_precision == cudnn.rnn.fp32_precision  # type: ignore[attr-defined]  # torch 2.9
    return torch.backends.cuda.matmul.fp32_precision == "tf32", cudnn.conv.fp32_precision == "tf32"  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _as_torch_begins() -> Iterator[None]:
    def begin() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if NEW:
                torch.backends.fp32_precision = "none"  # type: ignore[attr-defined]  # torch 2.9
            torch.set_float32_matmul_precision("highest")
            torch.backends.cudnn.allow_tf32 = True

    begin()
    yield
    begin()


def test_a_process_that_has_chosen_its_device_computes_float32_in_float32() -> None:
    assert rounded() == (False, True)  # torch's own: convolutions lose 13 bits
    processes.join("cpu")
    assert rounded() == (False, False)
    assert old_switches() == (False, False, "highest")


@pytest.mark.parametrize("word", ["highest", "high", "medium"])
def test_a_block_computes_as_asked_and_leaves_what_was(word: str) -> None:
    torch.set_float32_matmul_precision(word)
    before = old_switches()
    for on in (True, False):
        with suppress(KeyError), tf32(on):
            assert rounded() == (on, on)
            assert old_switches()[:2] == (on, on)
            with tf32(not on):
                assert rounded() == (not on, not on)
            assert rounded() == (on, on)
            raise KeyError
        assert old_switches() == before


@pytest.mark.skipif(not NEW, reason="this torch has the older switches alone")
def test_what_somebody_set_for_all_operations_does_not_win() -> None:
    torch.backends.fp32_precision = "tf32"  # type: ignore[attr-defined]  # torch 2.9
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    assert rounded() == (True, True)
    no_tf32()
    assert rounded() == (False, False)
    assert old_switches() == (False, False, "highest")


@pytest.mark.parametrize(("precision", "on"), [("float32", False), ("bfloat16", False), ("tf32", True)])
def test_a_number_format_on_a_gpu_sets_tf32(precision: Precision, on: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bfloat16 on a machine without CUDA
        with computing_in(precision, "cuda"):
            assert rounded() == (on, on)
    assert rounded() == (False, True)
