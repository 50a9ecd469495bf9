"""The cache command: what it shows, what it frees, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hsa_bench.cache import app
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.views import View
from hsa_bench.core.features.extract import extract
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.suite.run_cache import entries, run_folders
from tests.support.command import start_without

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
IMAGES = ImageSet(ArrayImages(PICTURES), np.arange(6) % 2, ("a", "b"), tuple("012345"))


@pytest.fixture
def run(tmp_path: Path, small_backbone: Backbone) -> Path:
    """A run folder with features of one backbone, and things that are no cache."""
    out = tmp_path / "runs" / "one"
    ctx = Context(data_root=tmp_path, cache=out / "cache")
    extract(small_backbone, IMAGES, View(32, 32), ctx, layers=("stage1", "stem"))
    (out / "cache" / "features" / "0123456789abcdef").mkdir()
    (out / "cache" / "features" / "0123456789abcdef" / "000000000.npy").write_bytes(b"x" * 1000)
    (out / "cache" / "features" / "0123456789abcdef.json").write_text("{}")  # what the pieces will be
    (out / "cache" / "report").mkdir()
    (out / "cache" / "report" / "numbers.json").write_bytes(b"y" * 2048)
    (out / "cache" / "notes.txt").write_text("of a person")
    (out / "results").mkdir()
    (out / "results" / "kept.json").write_text("{}")
    return out


def said(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


def test_the_list_says_what_each_file_is_and_how_large(run: Path) -> None:
    code, text = said(str(run), "--list")
    assert code == 0
    assert "random (resnet18-w16), stage1, 6 images at 32 of 32 px, float32" in text
    assert "random (resnet18-w16), last, 6 images" in text
    assert "pieces of an extraction that was cut short" in text
    assert "2.0 KiB" in text
    features = [one for one in entries(run) if one.kind == "features"]
    total = sum(path.stat().st_size for path in (run / "cache" / "features").rglob("*") if path.is_file())
    assert sum(one.size for one in features) == total
    assert len(features) == 4  # the trunk, two layers; the pieces


def test_a_folder_of_runs_is_looked_through_and_an_empty_one_is_named(run: Path, tmp_path: Path) -> None:
    assert run_folders(run.parent) == [run]
    assert "stage1" in said(str(run.parent))[1]
    code, text = said(str(tmp_path / "none"))
    assert code == 2
    assert "no run folder with a cache/ here" in " ".join(text.split())


def test_clearing_frees_the_cache_and_nothing_else(run: Path) -> None:
    code, text = said(str(run), "--clear")
    assert code == 0
    assert "freed" in text and "5 entries" in text
    assert entries(run) == []
    left = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    assert left == ["cache/notes.txt", "results/kept.json"]


def test_one_kind_can_be_cleared_alone(run: Path) -> None:
    said(str(run), "--clear", "--only", "report")
    assert {one.kind for one in entries(run)} == {"features"}
    assert said(str(run), "--clear", "--only", "everything")[0] == 2
    assert said(str(run), "--clear", "--list")[0] == 2


def test_a_link_out_of_the_cache_is_not_followed(run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("keep")
    (run / "cache" / "hashes").symlink_to(elsewhere)
    said(str(run), "--clear")
    assert (elsewhere / "mine").exists()


def test_what_was_cleared_is_made_again(run: Path, small_backbone: Backbone) -> None:
    said(str(run), "--clear")
    again = extract(small_backbone, IMAGES, View(32, 32), Context(run, run / "cache"))
    assert len(again.features) == 6


def test_features_of_older_versions_are_shown_without_their_description(run: Path) -> None:
    for path in (run / "cache" / "features").glob("*.json"):
        path.write_text("{half")
    assert "features (of an older version)" in said(str(run))[1]


def test_listing_needs_no_torch(run: Path) -> None:
    done = start_without("hsa_bench.cache", run)
    assert done.returncode == 0, done.stderr
