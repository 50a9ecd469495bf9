from __future__ import annotations

from typing import NoReturn

import pytest
import torch

from hsa_bench.core.errors import PretrainingError
from pretrain.launch import launch_fabric
from pretrain.precision import computing, refuse_unknown
from pretrain.settings import Precision


def flags() -> tuple[bool, bool, bool, str]:
    cudnn = torch.backends.cudnn
    return cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.mark.parametrize(("precision", "rounds"), [("32-true", False), ("bf16-mixed", False), ("tf32", True)])
def test_a_gpu_repeats_its_numbers_and_rounds_products_only_where_asked(
    precision: Precision, rounds: bool
) -> None:
    before = flags()

    def stop() -> NoReturn:
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == rounds
        raise InterruptedError

    with pytest.raises(InterruptedError), computing(precision, torch.device("cuda")):
        stop()
    assert flags() == before


def test_what_a_device_does_not_compute_in_is_refused() -> None:
    with pytest.raises(PretrainingError, match=r"precision tf32: cpu does not .* take 32-true"):
        launch_fabric("cpu", "tf32")
    with pytest.raises(PretrainingError, match="mps has no float64"):
        refuse_unknown("64-true", "mps")
    refuse_unknown("64-true", "cpu")
