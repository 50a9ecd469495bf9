from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.views import View
from hsa_bench.core.features import extraction, forward
from hsa_bench.core.features.extract import FeatureSet, extract
from hsa_bench.core.features.kept import read_piece, write_piece
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Source

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

VIEW = View(size=12, resize=12)


class Pooling(nn.Module):
    """Mean colours; counts the images that it saw."""

    def __init__(self, pool: str = "mean") -> None:
        super().__init__()
        self.pool = pool
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return x.mean((2, 3)) if self.pool == "mean" else x.amax((2, 3))


def backbone(module: nn.Module | None = None) -> Backbone:
    module = module or Pooling()
    return Backbone(
        label="pooling",
        arch="pooling",
        module=module,
        dim=3,
        card=Preprocess(),
        weights=weights_hash(module),
        source=Source(path="test", format="control"),
    )


def pixels(count: int = 30) -> ImageSet:
    shown = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return ImageSet(ArrayImages(shown), np.arange(count) % 2, ("a", "b"), tuple(map(str, range(count))))


class Heard(list[str]):
    """Sentences for a person."""

    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def listening(ctx: Context, heard: Heard) -> Context:
    return replace(ctx, say=heard)


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "BATCH", 4)
    monkeypatch.setattr(forward, "BATCH", 4)
    monkeypatch.setattr(extraction, "PIECE", 8)


def made(ctx: Context, one: Backbone | None = None) -> tuple[FeatureSet, Path]:
    found = extract(one or backbone(), pixels(), VIEW, ctx)
    return found, ctx.cache / "features" / f"{found.key}.npy"


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2] ^= 0x40
    path.write_bytes(data)


def _swapped(path: Path) -> None:
    np.save(path, np.load(path)[::-1].copy())


def _column_less(path: Path) -> None:
    np.save(path, np.load(path)[:, :2].copy())


def _row_less(path: Path) -> None:
    np.save(path, np.load(path)[1:])


def _doubled(path: Path) -> None:
    np.save(path, np.load(path).astype(np.float64))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _pickled(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)


def _fortran(path: Path) -> None:
    np.save(path, np.asfortranarray(np.load(path)))


def _of_another(path: Path) -> None:
    np.save(path, np.load(path) + 1)
    said = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**said, "precision": "bfloat16"}))


def _without_word(path: Path) -> None:
    path.with_suffix(".json").unlink()


def _word_cut(path: Path) -> None:
    path.with_suffix(".json").write_bytes(path.with_suffix(".json").read_bytes()[:-9])


def _word_of_a_list(path: Path) -> None:
    path.with_suffix(".json").write_text("[]")


DAMAGES = (
    _flipped,
    _swapped,
    _column_less,
    _row_less,
    _doubled,
    _cut,
    _emptied,
    _pickled,
    _fortran,
    _of_another,
)
DAMAGES += (_without_word, _word_cut, _word_of_a_list)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_features_are_computed_again(
    damage: Callable[[Path], None], listening: Context, heard: Heard
) -> None:
    whole, path = made(listening)
    expected = whole.features.clone()
    damage(path)
    again = backbone()
    found, _ = made(listening, again)
    assert torch.equal(found.features, expected)
    assert again.module.seen == 30
    assert len(heard) == 1
    assert f"{path}: damaged (" in heard[0]
    assert heard[0].endswith("computed again")
    healed = backbone()
    made(listening, healed)
    assert healed.module.seen == 0
    assert len(heard) == 1


def test_features_of_another_network_under_the_same_key_are_computed_again(
    listening: Context, heard: Heard
) -> None:
    first, _ = made(listening)
    other = backbone(Pooling("max"))
    found, _ = made(listening, other)
    assert found.key == first.key  # the weights are none, and the name is the same
    assert other.module.seen == 30
    assert not torch.equal(found.features, first.features)
    assert len(heard) == 1
    assert "of another network of the same key" in heard[0]


@pytest.mark.usefixtures("_small_pieces")
def test_pieces_of_another_network_are_not_joined(listening: Context) -> None:
    stop_after(listening, images=20)
    other = backbone(Pooling("max"))
    made(listening, other)
    assert other.module.seen == 30


def stop_after(ctx: Context, images: int) -> Path:
    class Dies(Pooling):
        def forward(self, x: Tensor) -> Tensor:
            if self.seen >= images:
                raise KeyboardInterrupt
            return super().forward(x)

    with pytest.raises(KeyboardInterrupt):
        made(ctx, backbone(Dies()))
    return next(path for path in (ctx.cache / "features").iterdir() if path.is_dir())


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("damage", [_flipped, _cut, _emptied])
def test_a_damaged_piece_is_computed_again_alone(damage: Callable[[Path], None], listening: Context) -> None:
    whole, _ = made(replace(listening, cache=listening.cache / "whole"))
    pieces = stop_after(listening, images=20)
    damage(sorted(pieces.iterdir())[1])
    later = backbone()
    found, _ = made(listening, later)
    assert later.module.seen == 30 - 8
    assert torch.equal(found.features, whole.features)


def test_a_piece_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float16)
    write_piece(tmp_path / "a.npy", rows)
    assert np.array_equal(read_piece(tmp_path / "a.npy"), rows)


def test_features_of_an_older_version_get_a_checksum(listening: Context, heard: Heard) -> None:
    _, path = made(listening)
    beside = path.with_suffix(".json")
    said = json.loads(beside.read_text())
    beside.write_text(
        json.dumps({k: v for k, v in said.items() if k not in {"sha256", "dtype", "shape", "print"}})
    )
    older = backbone()
    made(listening, older)
    assert older.module.seen == 0
    assert "of an older version, without a checksum" in heard.pop()
    assert json.loads(beside.read_text())["sha256"] == said["sha256"]
    _flipped(path)
    made(listening, older)
    assert older.module.seen == 30


def test_older_features_that_do_not_fit_are_computed_again(listening: Context, heard: Heard) -> None:
    _, path = made(listening)
    beside = path.with_suffix(".json")
    said = json.loads(beside.read_text())
    del said["sha256"]
    beside.write_text(json.dumps(said))
    _row_less(path)
    older = backbone()
    made(listening, older)
    assert older.module.seen == 30
    assert "damaged" in heard[0]


def test_what_a_killed_write_left_is_swept(listening: Context) -> None:
    _, path = made(listening)
    path.unlink()
    from hsa_bench.core.files import _beside

    dead = _beside(path).name.rpartition("-")[0]
    left = path.with_name(f"{dead}-4194304")  # no process has that number
    left.write_bytes(b"half")
    made(listening)
    assert not left.exists()


@pytest.mark.usefixtures("_small_pieces")
def test_two_that_want_the_same_compute_it_once(listening: Context) -> None:
    class Slow(Pooling):
        def forward(self, x: Tensor) -> Tensor:
            time.sleep(0.05)
            return super().forward(x)

    both = [backbone(Slow()) for _ in range(2)]
    for one in both:
        assert one.print
    found: list[FeatureSet] = []
    threads = [threading.Thread(target=lambda one=one: found.append(made(listening, one)[0])) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.module.seen for one in both) == [0, 30]
    assert torch.equal(found[0].features, found[1].features)


@pytest.mark.processes
@pytest.mark.usefixtures("_small_pieces")
def test_who_waits_goes_on_where_a_killed_process_was(
    listening: Context, heard: Heard, tmp_path: Path
) -> None:
    started = tmp_path / "started"

    class Hangs(Pooling):
        def forward(self, x: Tensor) -> Tensor:
            if self.seen == 12:
                started.touch()
                time.sleep(600)
            return super().forward(x)

    hanging, later = backbone(Hangs()), backbone()
    assert hanging.print == later.print
    child = os.fork()
    if not child:
        made(listening, hanging)
        os._exit(0)
    try:
        _until(started.exists)
        thread = threading.Thread(target=made, args=(listening, later))
        thread.start()
        _until(lambda: bool(heard))
        assert later.module.seen == 0
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    thread.join()
    assert "another process makes the features" in heard[0]
    assert later.module.seen == 30 - 8
    found, path = made(listening, later)
    assert later.module.seen == 30 - 8
    assert torch.equal(found.features, made(replace(listening, cache=tmp_path / "whole"))[0].features)
    assert not path.with_suffix("").exists()


def _until(there: Callable[[], bool]) -> None:
    for _ in range(600):
        if there():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")
