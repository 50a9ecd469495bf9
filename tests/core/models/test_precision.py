import pytest
import torch
from torch import nn

from hsa_bench.core.features.forward import frozen_forward
from hsa_bench.core.models import precision
from hsa_bench.core.models.precision import chosen


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
