from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hsa_bench.core import files
from hsa_bench.core.errors import HsaBenchError, Unwritable
from hsa_bench.core.files import (
    alive,
    check_writable,
    set_aside,
    sweep,
    unwritable,
    whole_file,
    whole_folder,
    write_text,
)

NOBODY = 2**22 + 1
"""More than any process number of this system."""


def half_written(path: Path, process: int) -> Path:
    """What a process killed while it wrote `path` leaves."""
    beside = files._beside(path)
    left = beside.with_name(beside.name.replace(f"-{os.getpid()}", f"-{process}"))
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("half a fi")
    return left


def _break_off(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"new")
        raise KeyError


def _break_off_folder(path: Path) -> None:
    with whole_folder(path) as folder:
        (folder / "a").touch()
        raise KeyError


def test_a_file_is_whole_or_not_there_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    write_text(path, "old")
    with pytest.raises(KeyError):
        _break_off(path)
    assert path.read_text() == "old"
    assert [*path.parent.iterdir()] == [path]
    umask = os.umask(0o027)
    try:
        write_text(path, "new")
    finally:
        os.umask(umask)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_folder_is_whole_or_not_there_and_the_first_one_stands(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        _break_off_folder(tmp_path / "scenes")
    assert [*tmp_path.iterdir()] == []
    for text in "first", "second":
        with whole_folder(tmp_path / "scenes") as folder:
            (folder / "a").write_text(text)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
    assert (tmp_path / "scenes" / "a").read_text() == "first"


def test_what_dead_processes_were_writing_is_swept_and_all_else_stays(tmp_path: Path) -> None:
    dead = [half_written(tmp_path / name, NOBODY) for name in ("ab12.json", "x.npy")]
    scenes = half_written(tmp_path / "digit-scenes-v1-seed0", NOBODY)
    scenes.unlink()
    (scenes / "train").mkdir(parents=True)
    living = half_written(tmp_path / "ab12.json", os.getppid())
    own = [tmp_path / name for name in (".hidden", ".vimrc.swp", "ab12.json", ".env.local", ".x.abcdefgh")]
    fresh = tmp_path / ".ab12.npz.a1b2c3_d"  # an older version's, which may be writing it just now
    for path in (*own, fresh):
        path.touch()
    assert sweep(tmp_path) == 3
    assert {*tmp_path.iterdir()} == {living, fresh, *own}
    assert not any(path.exists() for path in dead)


def test_leftovers_that_name_no_process_of_this_machine_are_swept_after_a_day(tmp_path: Path) -> None:
    elsewhere = tmp_path / f".ab.json.0123abcd.ffffff-{os.getpid()}"
    older = tmp_path / ".digit-scenes-v1-seed0.a1b2c3_d"
    for path in (elsewhere, older):
        path.touch()
    assert sweep(tmp_path) == 0
    for path in (elsewhere, older):
        os.utime(path, (1, 1))
    assert sweep(tmp_path) == 2


def test_only_the_named_file_is_swept_where_a_folder_is_not_ours(tmp_path: Path) -> None:
    mine, other = (half_written(tmp_path / name, NOBODY) for name in ("hsa.pth", "hsa.pth.x"))
    assert sweep(tmp_path, "hsa.pth") == 1
    assert (mine.exists(), other.exists()) == (False, True)


def test_sweeping_a_folder_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    assert sweep(tmp_path / "absent") == 0


def test_a_damaged_file_is_set_aside_under_a_new_name_each_time(tmp_path: Path) -> None:
    for text, name in (("1", "x.pth.broken"), ("2", "x.pth.broken1"), ("3", "x.pth.broken2")):
        (tmp_path / "x.pth").write_text(text)
        assert set_aside(tmp_path / "x.pth") == tmp_path / name
        assert (tmp_path / name).read_text() == text


def test_a_living_process_is_told_from_a_dead_one() -> None:
    assert alive(os.getpid())
    assert alive(1)
    assert not alive(NOBODY)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "No space left on device; make room"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "Read-only file system; see that it can be written to"),
        (errno.EACCES, "Permission denied; see that it can be written to"),
        (errno.ENOTDIR, "move what is in the way"),
    ],
)
def test_an_error_of_the_systems_becomes_a_sentence(number: int, remedy: str) -> None:
    found = unwritable(OSError(number, os.strerror(number)), Path("out/plan.json"))
    assert str(found).startswith("out/plan.json: ")
    assert remedy in str(found)
    assert "run the same command again, finished runs stay" in str(found)
    assert (found.errno, found.exit_code) == (number, 1)
    assert isinstance(found, HsaBenchError) and isinstance(found, OSError)


def test_what_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    with pytest.raises(Unwritable, match=r"logs/worker.log: .*move what is in the way"):
        write_text(tmp_path / "logs" / "worker.log", "x")
    with pytest.raises(Unwritable, match="logs: File exists"):
        check_writable(tmp_path / "logs")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y").touch()
    with pytest.raises(Unwritable, match="x: Is a directory; move what is in the way"):
        write_text(tmp_path / "x", "x")


def test_what_cannot_be_read_meanwhile_is_not_called_unwritable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.npy"), whole_file(tmp_path / "x"):
        np.load(tmp_path / "absent.npy")


def _to_file(big: NDArray[np.float64], path: Path) -> None:
    with whole_file(path) as file:
        file.write(big.tobytes())


def _by_numpy(big: NDArray[np.float64], path: Path) -> None:
    with whole_file(path) as file:
        np.save(file, big)


def _by_torch(big: NDArray[np.float64], path: Path) -> None:
    with whole_file(path) as file:
        torch.save(torch.from_numpy(big), file)


@pytest.mark.processes
@pytest.mark.parametrize("write", [_to_file, _by_numpy, _by_torch])
def test_a_full_disk_is_named_whoever_writes(
    write: Callable[[NDArray[np.float64], Path], None], small_disk: Path
) -> None:
    with pytest.raises(Unwritable, match=r"big: .*; make room and run the same command again"):
        write(np.zeros(200_000), small_disk / "big")
    assert [*small_disk.iterdir()] == []
