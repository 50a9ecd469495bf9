"""The device that is compared with the CPU, a network and pictures to do it with, and figures for the table.

Without a GPU every test here is skipped. HSA_BENCH_DEVICE=cpu compares the CPU with itself, and
HSA_BENCH_TINY=1 makes all as small as can be: a rehearsal, for which `make device DEVICE=cpu TINY=1` stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.processes import join
from tests.device.pictures import coloured
from tools.device.row import Row

DEVICE = os.environ.get("HSA_BENCH_DEVICE") or ("cuda" if torch.cuda.is_available() else "")
TINY = bool(os.environ.get("HSA_BENCH_TINY"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.gpu)
            if not DEVICE:
                item.add_marker(pytest.mark.skip(reason="needs a GPU: make device PIECE=1"))


@pytest.fixture(autouse=True, scope="session")
def _chosen() -> None:
    """As each of the suite's processes chooses its device: float32 is float32 from then on."""
    if DEVICE:
        join(DEVICE)


@pytest.fixture
def device() -> str:
    return DEVICE


@pytest.fixture
def tiny() -> bool:
    return TINY


@pytest.fixture
def on_gpu() -> bool:
    return DEVICE.startswith("cuda")


@pytest.fixture
def here(tmp_path: Path) -> Context:
    """On the CPU."""
    return Context(data_root=tmp_path / "data", cache=tmp_path / "here", artefacts=tmp_path / "runs" / "here")


@pytest.fixture
def there(here: Context, tmp_path: Path) -> Context:
    """On the device, with a cache of its own."""
    return replace(here, device=DEVICE, cache=tmp_path / "there", artefacts=tmp_path / "runs" / "there")


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """Of random weights."""
    return open_backbone(BackboneRequest(label="random", arch="resnet18-w8-s2" if TINY else "resnet50"))


@pytest.fixture(scope="session")
def data() -> Classification:
    """Pictures that a network of random weights tells apart in part."""
    return coloured(train=36, test=18, side=32) if TINY else coloured(train=480, test=240, side=128)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Put a figure into the table, and fail where it misses its aim."""

    def put(what: str, value: float, at_most: float, note: str = "") -> None:
        row = Row(what, value, relation="at most", aim=at_most, note=note)
        record_property("row", row.plain())
        assert row.holds, f"{what} is {value:.3g}, more than {at_most:g}"

    return put


@pytest.fixture
def difference() -> Callable[[Tensor, Tensor], float]:
    """The largest distance of two rows over the first one's length."""

    def relative(expected: Tensor, found: Tensor) -> float:
        expected, found = (x.cpu().double().flatten(1) for x in (expected, found))
        return float(((found - expected).norm(dim=1) / expected.norm(dim=1).clamp_min(1e-12)).max())

    return relative
