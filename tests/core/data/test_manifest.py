"""What is known of picture files is kept while they are what they were, and found out again where not."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsa_bench.core.context import Context
from hsa_bench.core.data import decode_check, fingerprint, manifest
from hsa_bench.core.data.decode_check import check_decoding, faulty, headers
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages, FileImages
from hsa_bench.core.data.manifest import Fact, Stamp, manifest_of, stamp_of
from hsa_bench.core.errors import DataError

NAMES = tuple(f"{i}.png" for i in range(6))


@pytest.fixture
def kept(tmp_path: Path, forgetful: None) -> Path:
    """The folder of manifests, of a process that keeps them."""
    manifest.keep_in(tmp_path / "cache")
    return tmp_path / "cache" / "manifests"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of manifests, whatever ran before in this process."""
    monkeypatch.setattr(manifest, "_kept_in", None)


def test_a_process_that_goes_elsewhere_keeps_on_writing_where_it_was_told(
    tmp_path: Path, images: FileImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    manifest.keep_in(Path("cache"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    images.digest()
    assert [*(tmp_path / "here/cache/manifests").iterdir()]
    assert not [*(tmp_path / "elsewhere").iterdir()]


@pytest.fixture
def images(tmp_path: Path) -> FileImages:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, name in enumerate(NAMES):
        noise = np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
        age(folder / name)
    time.sleep(0.06)  # until the times of the files are settled
    return FileImages(folder, NAMES)


def age(path: Path) -> None:
    os.utime(path, (1_700_000_000.5, 1_700_000_000.5))


def again(images: FileImages) -> FileImages:
    """As another process would see them."""
    return FileImages(images.root, images.names)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose content is read."""
    names: list[str] = []

    def content_of(path: str | Path) -> tuple[bytes, Stamp]:
        names.append(Path(path).name)
        return manifest.content_of(path)

    monkeypatch.setattr(fingerprint, "content_of", content_of)
    monkeypatch.setattr(decode_check, "content_of", content_of)
    return names


def by_definition(images: FileImages) -> str:
    total = hashlib.sha256(b"content")
    for name in images.names:
        content = (images.root / name).read_bytes()
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def test_up_to_a_gibibyte_one_hash_runs_over_all_bytes(images: FileImages, kept: Path) -> None:
    assert images.digest() == again(images).digest() == by_definition(images)


def test_content_is_read_once_for_all_processes(images: FileImages, kept: Path, reads: list[str]) -> None:
    first = images.digest()
    assert reads == list(NAMES)
    assert again(images).digest() == first
    assert reads == list(NAMES)


def test_a_changed_file_of_equal_size_and_time_is_seen(images: FileImages, kept: Path) -> None:
    first = images.digest()
    path = images.root / "2.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))
    age(path)
    assert again(images).digest() == by_definition(images) != first


def test_a_file_that_was_written_a_moment_ago_is_not_trusted(images: FileImages, kept: Path) -> None:
    now = time.time_ns()
    assert not Stamp(1, now, now).settled(now)
    assert Stamp(1, now - 10**8, now - 10**8).settled(now)
    whole_seconds = now - now % 10**9 - 10**9
    assert not Stamp(1, whole_seconds, whole_seconds).settled(now)  # a file system that ticks by the second


def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "AT_ONCE", 10)


def test_above_a_gibibyte_content_is_looked_at_too(
    images: FileImages, kept: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    large(monkeypatch)
    first = images.digest()
    path = images.root / "3.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))
    reads.clear()
    assert again(images).digest() != first
    assert reads == ["3.png"]  # what did not change is not read again


def test_of_very_many_files_a_fixed_draw_and_all_sizes_are_looked_at(
    images: FileImages, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    large(monkeypatch)
    monkeypatch.setattr(fingerprint, "ALL_FILES", 4)
    monkeypatch.setattr(fingerprint, "SAMPLE", 3)
    first = images.digest()
    drawn = list(reads)
    assert len(drawn) == 3
    other = next(name for name in NAMES if name not in drawn)
    (images.root / other).write_bytes(b"another size")
    assert again(images).digest() != first
    assert reads == drawn * 2


def test_a_killed_process_loses_its_last_piece_alone(
    images: FileImages, kept: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    large(monkeypatch)
    monkeypatch.setattr(fingerprint, "PIECE", 2)
    monkeypatch.setattr(fingerprint.Reader, "flush", _dying_after(2, fingerprint.Reader.flush))
    with pytest.raises(KeyboardInterrupt):
        images.digest()
    monkeypatch.undo()
    manifest.keep_in(kept.parent)
    assert sum(bool(manifest_of(images.root).known(n, stamp_of(images.root / n)).content) for n in NAMES) == 4


def _dying_after(times: int, flush: object) -> object:
    done = 0

    def dying(reader: fingerprint.Reader) -> None:
        nonlocal done
        done += 1
        if done > times:
            raise KeyboardInterrupt
        flush(reader)  # type: ignore[operator]

    return dying


@pytest.mark.parametrize("damage", ["cut", "bit", "zeros", "other words", "folder"])
def test_a_damaged_manifest_is_made_again(images: FileImages, kept: Path, damage: str) -> None:
    first, sizes = images.digest(), [(fact.width, fact.height) for fact in headers(images)]
    for path in kept.iterdir():
        content = bytearray(path.read_bytes())
        if damage == "bit":
            for place in range(20, len(content), 50):
                content[place] ^= 4
        whole = {"cut": content[:-9], "zeros": bytes(len(content)), "other words": b"[1,\n{}\n\xff\n"}
        path.write_bytes(whole.get(damage, bytes(content)))
        if damage == "folder":
            path.unlink()
            path.mkdir()
    assert again(images).digest() == first
    assert (
        [(fact.width, fact.height) for fact in headers(images)] == sizes == [(30, 20 + i) for i in range(6)]
    )


def test_a_manifest_of_many_stale_lines_is_written_anew(images: FileImages, kept: Path) -> None:
    images.digest()
    (path,) = kept.glob("*.files")
    lines = path.read_bytes().count(b"\n")
    path.write_bytes(path.read_bytes() * 200)
    facts = [manifest_of(images.root).known(name, stamp_of(images.root / name)) for name in NAMES]
    assert all(fact.content for fact in facts)
    assert path.read_bytes().count(b"\n") <= lines


def test_headers_tell_size_mode_and_turn(tmp_path: Path, kept: Path) -> None:
    turned = Image.Exif()
    turned[274] = 6
    Image.new("L", (12, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (9, 7)).save(tmp_path / "b.jpg", exif=turned)
    found = headers(FileImages(tmp_path, ("a.png", "b.jpg")))
    assert [(f.width, f.height, f.mode, f.turn) for f in found] == [(12, 8, "L", 1), (9, 7, "RGB", 6)]


def broken(images: FileImages, name: str) -> bytes:
    content = (images.root / name).read_bytes()
    (images.root / name).write_bytes(content[: len(content) // 2])
    return content


def test_all_broken_pictures_are_named_at_once(images: FileImages, kept: Path, ctx: Context) -> None:
    broken(images, "1.png")
    broken(images, "4.png")
    with pytest.raises(DataError, match=r"1\.png: cannot be read.*4\.png: cannot be read") as caught:
        check_decoding(images, ctx, "test pictures")
    assert "3.png" not in str(caught.value)


def test_what_decoded_is_not_decoded_again_and_what_is_mended_is(
    images: FileImages, kept: Path, ctx: Context, reads: list[str]
) -> None:
    whole = broken(images, "4.png")
    assert list(faulty(images, ctx, "x")) == ["4.png"]
    age(images.root / "4.png")
    reads.clear()
    assert list(faulty(images, ctx, "x")) == ["4.png"]
    assert reads == ["4.png"]
    (images.root / "4.png").write_bytes(whole)
    assert faulty(images, ctx, "x") == {}
    assert {name for name, _ in manifest_of(images.root).broken()} == {"4.png"}


def test_only_the_pictures_of_the_subset_are_decoded(
    images: FileImages, kept: Path, ctx: Context, reads: list[str]
) -> None:
    whole = ImageSet(images, np.zeros(6, np.int64), ("a",), NAMES)
    check_decoding(whole.subset([1, 2]), ctx, "x")
    assert reads == ["1.png", "2.png"]
    array = ImageSet(ArrayImages(np.zeros((1, 4, 4, 3), np.uint8)), np.zeros(1, np.int64), ("a",), ("0",))
    check_decoding(array, ctx, "x")


def test_of_very_many_pictures_a_fixed_draw_is_decoded_and_the_bar_says_so(
    images: FileImages, ctx: Context, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(decode_check, "ALL_PICTURES", 5)
    monkeypatch.setattr(decode_check, "SAMPLE", 2)
    said: list[str] = []
    heard = Context(ctx.data_root, ctx.cache, progress=lambda text, done, total: said.append(text))
    check_decoding(images, heard, "test pictures")
    assert len(reads) == 2
    assert said[0] == "decoding 2 of 6 test pictures"


def test_two_processes_may_write_at_once(images: FileImages, kept: Path) -> None:
    one, other = manifest_of(images.root), manifest_of(images.root)
    stamp = stamp_of(images.root / "0.png")
    one.keep({"0.png": Fact(stamp, content="a")})
    other.keep({"1.png": Fact(stamp_of(images.root / "1.png"), content="b")})
    found = manifest_of(images.root)
    assert found.known("0.png", stamp).content == "a"
    assert found.known("1.png", stamp_of(images.root / "1.png")).content == "b"


def test_without_a_place_nothing_is_written(images: FileImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_kept_in", None)
    assert images.digest() == by_definition(images)
    assert sorted(path.name for path in images.root.parent.iterdir()) == ["pictures"]


def test_a_cache_that_cannot_be_written_changes_nothing(
    images: FileImages, kept: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    manifest.keep_in(tmp_path / "file")
    assert images.digest() == by_definition(images)
