"""The command where nothing, or not enough, can be written: what it says, and that nothing is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hsa_bench.core.results.store import Store
from hsa_bench.run import app
from tests.support.command import Done, call

REMEDY = "make room and run the same command again, finished runs stay"


def command(out: Path, *arguments: str) -> Done:
    given = ("--arch", "pixels", "--dataset", "digits", "--limit", "64", "--tasks", "knn", *arguments)
    return call(app, *given, "--out", str(out))


def again_as(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


@pytest.mark.parametrize(
    ("room", "full"),
    [
        ("12k", ".json: No space"),
        pytest.param("4k", "out: No space", marks=pytest.mark.long),
        pytest.param("64k", ".npy: No space", marks=pytest.mark.long),
    ],
)
def test_a_full_disk_is_named_with_the_remedy_and_with_room_the_command_ends_right(
    room: str, full: str, small_disk: Path
) -> None:
    again_as(small_disk, f"size={room}")
    done = command(small_disk / "out")
    assert done.returncode == 1
    assert full in done.stdout + done.stderr
    assert REMEDY in done.stdout + done.stderr
    for path in Store(small_disk / "out").paths():
        assert '"failed"' in path.read_text()

    again_as(small_disk, "size=4m")
    done = command(small_disk / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (small_disk / "out" / "report.md").exists()
    assert [path.name for path in (small_disk / "out").rglob(".*")] == [".lock"]


def test_a_finished_run_in_a_read_only_folder_is_shown_and_a_new_one_refused(small_disk: Path) -> None:
    again_as(small_disk, "size=4m")
    assert command(small_disk / "out").returncode == 0
    [result] = Store(small_disk / "out").paths()

    again_as(small_disk, "ro")
    done = command(small_disk / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to do: every run is on file" in done.stdout
    assert "not written" in done.stdout
    done = command(small_disk / "out", "--set", "knn.k=3")
    assert done.returncode == 1
    assert "Read-only file system; see that it can be written to" in done.stderr
    done = command(small_disk / "other")
    assert done.returncode == 2
    assert f"--out {small_disk / 'other'}: Read-only file system" in done.stderr
    assert Store(small_disk / "out").paths() == [result]


@pytest.mark.parametrize("name", ["results", "cache", "plan.json"])
def test_what_is_in_the_way_of_a_folder_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    if name == "plan.json":
        (tmp_path / "out" / name).mkdir()
    else:
        (tmp_path / "out" / name).touch()
    done = command(tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"out/{name}" in done.stdout + done.stderr
    assert "move what is in the way" in done.stdout + done.stderr
