from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from eval_tasks import knn
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.errors import UsageError
from hsa_bench.core.features.forward import frozen_forward
from hsa_bench.core.models import precision
from hsa_bench.core.models.precision import Precision, chosen, computing_in


@pytest.mark.parametrize(("has", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_where_the_processor_has_it(
    has: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: has)
    assert chosen("auto", "cpu") == expected
    assert chosen("float32", "cpu") == "float32"
    assert chosen("bfloat16", "cpu") == "bfloat16"


def test_bfloat16_features_are_float32_numbers_near_the_exact_ones() -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x = torch.randn(4, 3, 16, 16)
    exact = frozen_forward(trunk, x, "cpu")
    near = frozen_forward(trunk, x, "cpu", "bfloat16")
    assert near.dtype == torch.float32
    assert not torch.equal(near, exact)
    assert torch.allclose(near, exact, rtol=0.02, atol=0.01)


def test_a_trunk_in_double_precision_computes_in_it() -> None:
    seen = []
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).double()
    trunk.register_forward_hook(lambda _, given, __: seen.append(given[0].dtype))
    assert frozen_forward(trunk, torch.randn(2, 3, 4, 4), "cpu").dtype == torch.float32
    assert seen == [torch.float64]


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_tf32_is_refused_where_there_is_none_and_never_taken_for_float32(device: str) -> None:
    with pytest.raises(
        UsageError, match=rf"precision=tf32: {device} does not compute in TensorFloat-32.*precision=float32"
    ):
        chosen("tf32", device)


def test_tf32_is_refused_in_the_plan_before_anything_is_computed(ctx: Context) -> None:
    data = open_dataset("digits", Path())
    with pytest.raises(UsageError, match="precision=tf32"):
        replace(knn.TASKS[0], precision="tf32").resolved(data, ctx)


def test_bfloat16_is_autocast_and_the_others_are_not() -> None:
    a = torch.ones(2, 2)
    formats: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    for name, dtype in formats.items():
        with torch.autocast("cpu", torch.bfloat16), computing_in(name, "cpu"):
            assert (a @ a).dtype == dtype
        assert (a @ a).dtype == torch.float32
