"""What many tests start from: a small data set, a small backbone, a bench in a temporary folder."""

from __future__ import annotations

import os
import subprocess

# Before torch. Tests run in a process per core: in networks this small, threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads sleep instead of spinning

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.provenance import provenance
from tests import order, unit

REAL = "HSA_BENCH_DATA"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the unit tests, of the files listed, and let the long files begin in each process."""
    for item in items:
        apart = item.get_closest_marker("long") or item.get_closest_marker("processes")
        if unit.listed(item.path) and not apart:
            item.add_marker(pytest.mark.unit)
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        items[:] = order.long_first(items, lambda item: item.path, processes)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread: sums are the same ones in every process, and small tensors lose no time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_process(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("unit") is None:
        yield
        return
    with unit.no_process():
        yield


@pytest.fixture(scope="session")
def real_images() -> Path:
    """The folder with coco-mini/ and voc-mini/, which are not in the repository."""
    if REAL not in os.environ:
        pytest.skip(f"needs real images: name the folder of coco-mini and voc-mini in {REAL}")
    folder = Path(os.environ[REAL]).absolute()
    assert folder.is_dir(), f"{REAL}={folder}: no such folder"
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 64 KiB of room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(
        data_root=tmp_path / "data", cache=tmp_path / "cache", artefacts=tmp_path / "artefacts" / "run"
    )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    ctx = Context(data_root=tmp_path / "data", cache=tmp_path / "out" / "cache")
    return Bench(store=Store(tmp_path / "out"), ctx=ctx, provenance=provenance("pytest"))


@pytest.fixture(scope="session")
def small_backbone() -> Backbone:
    return open_backbone(BackboneRequest(label="random", arch="resnet18-w16"))
