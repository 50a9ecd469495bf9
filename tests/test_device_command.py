"""`make device`, rehearsed: every piece at tiny size on the CPU, and what its frame promises."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import ROOT
from tools.device import __main__ as command
from tools.device.find_pieces import found, standing
from tools.device.piece import Call, Piece
from tools.device.piece_folder import PieceFolder
from tools.device.row import Row

MADE = {"device": "some GPU", "size": "full"}


def on_file(folder: Path, **made: str) -> PieceFolder:
    return PieceFolder(folder, "Piece 9: what?", {**MADE, **made})


@pytest.mark.skipif(os.name != "posix", reason="needs make")
@pytest.mark.parametrize("pieces", ["1,2,3", pytest.param("4", marks=pytest.mark.long)])
def test_the_whole_command_runs_on_the_cpu_at_tiny_size(pieces: str, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    asked = [
        "make",
        "device",
        f"PYTHON={sys.executable}",
        "DEVICE=cpu",
        "TINY=1",
        f"PIECE={pieces}",
        f"OUT={out}",
    ]
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS")}
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False, env=plain)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n  left: " not in done.stdout
    for number, piece in ((number, found()[number]) for number in map(int, pieces.split(","))):
        folder = out / f"piece-{number}"
        assert {path.name for path in folder.iterdir()} == {"rows.jsonl", "table.md", "table.csv"}
        assert (folder / "table.md").read_text().startswith(f"## {piece.title}\n\ndevice cpu, size tiny, ")
        rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
        assert len(rows) > 10 and not [row for row in rows if row["value"] in ("failed", "did not end")]


def test_each_piece_is_rehearsed() -> None:
    [cases] = [
        m for m in test_the_whole_command_runs_on_the_cpu_at_tiny_size.pytestmark if m.name == "parametrize"
    ]
    named = [getattr(case, "values", [case])[0] for case in cases.args[1]]
    assert ",".join(named).split(",") == [*map(str, found())]


def test_pieces_are_numbered_from_one_and_named_so() -> None:
    assert list(found()) == list(range(1, len(found()) + 1))
    assert all(piece.title.startswith(f"Piece {number}: ") for number, piece in found().items())


def test_rows_are_on_file_at_once_and_a_later_call_goes_on(tmp_path: Path) -> None:
    first = on_file(tmp_path)
    first.begin("a")
    first.put("a", [Row("speed", 12.5, "images/s", "at least", 10)], 2.0)
    first.begin("b")
    first.put("b", [], 1.0, fault="RuntimeError: out of memory")
    first.begin("c")  # and is killed

    later = on_file(tmp_path)
    assert later.missing("abcd") == ["d", "b", "c"]
    assert later.wrong() == ["b: RuntimeError: out of memory"]
    later.begin("c")  # and is killed again
    last = on_file(tmp_path)
    assert last.missing("abcd") == ["d", "b"]
    assert last.wrong() == ["b: RuntimeError: out of memory", "c: did not end"]
    last.put("b", [Row("speed", 1.0, relation="at least", aim=2)], 1.0)
    assert on_file(tmp_path).missing("abc") == []
    assert last.missed() == ["b: speed is 1, aimed at is at least 2"]
    table = (tmp_path / "table.md").read_text()
    assert "| a | speed | 12.5 images/s | at least 10 | yes |  |" in table
    assert "| c |  | did not end |  | no |  |" in table


def test_a_part_that_gets_further_each_time_is_not_given_up(tmp_path: Path) -> None:
    for place in ("", "epoch 3", "epoch 9"):
        on_file(tmp_path).begin("a", place)  # and is killed
    assert on_file(tmp_path).missing("a") == ["a"]
    on_file(tmp_path).begin("a", "epoch 9")
    assert on_file(tmp_path).missing("a") == [] and on_file(tmp_path).wrong() == ["a: did not end"]


def test_a_line_that_was_cut_off_costs_its_own_part_alone(tmp_path: Path) -> None:
    on_file(tmp_path).put("a", [Row("x", 1.0)], 1.0)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"part": "b", "rows": [{"wh')
    again = on_file(tmp_path)
    assert again.missing("ab") == ["b"]
    again.put("b", [Row("x", 2.0)], 1.0)
    assert on_file(tmp_path).missing("ab") == []


@pytest.mark.parametrize("other", [{"device": "another GPU"}, {"size": "tiny"}])
def test_rows_of_another_device_or_size_count_for_nothing(tmp_path: Path, other: dict[str, str]) -> None:
    on_file(tmp_path, **other).put("a", [Row("x", 1.0)], 1.0)
    assert on_file(tmp_path).missing("a") == ["a"]
    on_file(tmp_path).put("a", [Row("x", 2.0)], 1.0)
    assert on_file(tmp_path).parts["a"].rows[0].value == 2.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "cuda:99"], "torch sees"),
        (["--device", "gpu"], "not usable here"),
        (["--device", "cpu", "--piece", "77"], "there are 1, 2"),
        (["--device", "cpu", "--piece", "1,77"], "--piece 77: there are 1, 2"),
        (["--device", "cpu", "--minutes", "nan"], "--minutes nan: must be above zero"),
        (["--device", "cpu", "--seconds", "0"], "must be above zero"),
    ],
)
def test_a_wrong_option_is_refused_before_any_work(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.main([*options, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, piece: Piece, *options: str) -> int:
    monkeypatch.setattr("tools.device.find_pieces.found", lambda: {piece.number: piece})
    return command.main(["--device", "cpu", "--out", str(tmp_path), *options])


def noted(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "piece-9/rows.jsonl").read_text().splitlines()]


def test_a_piece_whose_figures_stand_in_the_docs_is_not_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(call: Call, there: PieceFolder) -> list[str]:
        there.put("a", [Row("x", 1.0)], 1.0)
        return []

    docs = tmp_path / "benchmarks-device.md"
    docs.write_text("# Figures\n\n## Piece 9: what?\n\ndevice some GPU, code 1234567890. 3 s.\n\n| part |\n")
    monkeypatch.setattr("tools.device.find_pieces.standing", lambda number: standing(number, docs))
    assert standing(8, docs) == standing(9, tmp_path / "none") == ""
    piece = Piece(9, "Piece 9: what?", run)
    assert ask(monkeypatch, tmp_path, piece) == 0
    assert (
        "stands in docs/benchmarks-device.md (device some GPU, code 1234567890. 3 s.)"
        in capsys.readouterr().out
    )
    assert not (tmp_path / "piece-9").exists()
    assert ask(monkeypatch, tmp_path, piece, "--force") == 0
    assert len(noted(tmp_path)) == 1


def test_what_is_left_when_time_is_over_is_said_and_done_by_the_next_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tools.device.measure import Bench, Measurement, measure

    def quick(bench: Bench) -> list[Row]:
        return [Row("rounds", bench.seconds(lambda: None), "s")]

    def broken(bench: Bench) -> list[Row]:
        raise RuntimeError("no such kernel")

    work = [Measurement("quick", 1, quick), Measurement("broken", 1, broken), Measurement("slow", 900, quick)]
    piece = Piece(9, "Piece 9: what?", lambda call, there: measure(work, call, there))
    assert ask(monkeypatch, tmp_path, piece, "--force") == 1
    said = capsys.readouterr().out
    assert "broken: RuntimeError: no such kernel" in said and "left: slow; the same command goes on" in said
    work[1] = Measurement("broken", 1, quick)
    assert ask(monkeypatch, tmp_path, piece, "--force", "--seconds", "2000") == 0
    assert [event["part"] for event in noted(tmp_path) if "rows" in event] == [
        "quick",
        "broken",
        "slow",
        "broken",
    ]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_is_chosen_as_torch_wants_it(
    device: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch
    from torch._utils import _get_device_index

    from hsa_bench.core import devices
    from tools.device import find_pieces

    given: list[Any] = []
    chosen: list[int] = []
    monkeypatch.setattr(devices, "fault_of", lambda _: "")
    # torch's own reading of what it is given: of "cuda" it makes no number
    monkeypatch.setattr(torch.cuda, "set_device", lambda one: chosen.append(_get_device_index(one)))
    monkeypatch.setattr(
        find_pieces, "found", lambda: {9: Piece(9, "x", lambda *both: given.append(both) or [])}
    )
    assert command.main(["--device", device, "--out", str(tmp_path), "--tiny"]) == 0
    assert given[0][0].device == device
    assert chosen == ([1] if device == "cuda:1" else [])
