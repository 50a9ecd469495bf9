"""Piece 4 of `make device`: its file of rows, the epochs that fit, and the rule for claims."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hsa_bench.suite.make_job import make_job
from pretrain.preset import read_preset
from pretrain.settings import Settings
from tools.device.from_scratch import claims as rule
from tools.device.from_scratch.claims import claims, verdict
from tools.device.from_scratch.command import STOPPING, go_on, log_of
from tools.device.from_scratch.epochs import KINDS
from tools.device.from_scratch.fit import LEAST, MOST, WARMUP, Cost, Costs, cost_of, fitted
from tools.device.from_scratch.rows import FILE, rows, settings_of, write_fitted
from tools.device.mark import mark
from tools.device.piece import Call
from tools.device.piece_folder import PieceFolder
from tools.device.pieces import hsa
from tools.device.row import Row

FREE = {"epochs", "precision", "augment_on", "knn_every", "knn_k", "knn_temperature"}
"""What the file's header says is its own."""
COSTS = Costs(*(Cost(seconds, seconds * 1e13) for seconds in (4.0, 5.0, 9.0, 12.0)))


def call(tmp_path: Path, **changes: object) -> Call:
    given = Call("cpu", False, tmp_path, time.monotonic() + 900, tmp_path / "data")
    return replace(given, **changes)  # type: ignore[arg-type]


def of(row: str) -> Settings:
    return Settings(**settings_of(yaml.safe_load(FILE.read_text()), row))


def differences(one: Settings, other: Settings) -> set[str]:
    return {name for name, value in vars(one).items() if getattr(other, name) != value}


def test_rows_have_the_published_settings_and_differ_in_what_is_asked() -> None:
    moco = Settings(**read_preset("moco-v2-cifar10").settings)
    simclr = Settings(**read_preset("simclr-sgd-cifar10").settings)
    assert differences(of("moco"), moco) <= FREE
    assert differences(of("simclr"), simclr) <= FREE | {"queue", "ema", "bn_groups"}  # it has none of these
    assert differences(of("hsa"), of("hsa-views")) == {"weights"}
    assert of("hsa-views").weights == (1, 0)
    hsa_alone = {"method", "refresh", "warmup", "gate_mix"}
    assert differences(of("hsa"), of("moco")) == hsa_alone
    assert differences(of("moco-longer"), of("moco")) == {"epochs"}
    assert of("hsa").warmup == WARMUP and of("hsa").levels == (3,)


def test_the_file_is_a_preset_of_the_suite_with_any_epochs(tmp_path: Path) -> None:
    job = make_job(str(FILE), {}, [])
    written = tmp_path / "rows.yaml"
    write_fitted(yaml.safe_load(FILE.read_text()), COSTS.epochs(12), written)
    again = make_job(str(written), {}, [])
    assert again.tasks == job.tasks and {*again.pretrain.backbones} == {*job.pretrain.backbones}
    epochs = {row: own["epochs"] for row, own in again.pretrain.backbones.items()}
    assert epochs == COSTS.epochs(12)


def test_all_rows_are_shortened_together_and_the_longer_one_costs_as_much_as_hsa() -> None:
    for minutes in range(8, 200, 7):
        common = fitted(COSTS, minutes * 60)
        epochs = COSTS.epochs(common)
        assert {epochs[row] for row in ("moco", "simclr", "hsa-views", "hsa")} == {common}
        whole = common / 4 * 9e13 + common * 3 / 4 * 12e13
        assert abs(epochs["moco-longer"] * 4e13 - whole) <= 2e13
        seconds = sum(COSTS.seconds(common).values())
        assert seconds == pytest.approx(
            4 * common + 5 * common + 2 * (9 * common / 4 + 9 * common) + 4 * epochs["moco-longer"]
        )
        assert seconds <= minutes * 60
        assert common == MOST or sum(COSTS.seconds(common + 4).values()) > minutes * 60


def test_too_few_minutes_are_refused_with_what_is_needed() -> None:
    needed = sum(COSTS.seconds(LEAST).values())
    assert fitted(COSTS, needed) == LEAST
    with pytest.raises(ValueError, match=f"8 epochs of all rows need {needed:.0f} s, and 100 s are left"):
        fitted(COSTS, 100)


@pytest.mark.parametrize(
    ("judged", "beside", "purity", "said"),
    [
        (1.5, 0.0, 41.0, "holds"),
        (1.5, -1.4, 41.0, "holds"),
        (1.5, -1.5, 41.0, "not told apart"),
        (1.4, 9.0, 41.0, "not told apart"),
        (-1.4, 0.0, 41.0, "not told apart"),
        (-1.5, 1.0, 41.0, "the contrary holds"),
        (9.0, 9.0, 40.0, "too short to tell"),
    ],
)
def test_the_rule_for_claims(judged: float, beside: float, purity: float, said: str) -> None:
    assert verdict(judged, beside, purity) == said


def test_the_rule_is_the_one_that_was_written_down() -> None:
    design = FILE.with_suffix(".md").read_text()
    assert f"{rule.COUNT:g} points" in design and f"{rule.PURE:g} %" in design
    for claim, (row, less) in rule.CLAIMS.items():
        assert f"| {claim} | `{row}` less `{less}` |" in design


def test_claims_are_of_the_rows_that_they_name() -> None:
    tested = {
        row: {"linear-cached": linear, "knn": linear}
        for row, linear in {"moco": 70.0, "hsa-views": 73.0, "hsa": 74.0, "moco-longer": 80.0}.items()
    }
    found = {row.what: row for row in claims(tested, 55.0)}
    assert found["sooner than MoCo v2"].value == "holds"
    assert found["because of neighbours"].value == "not told apart"
    assert found["at equal compute"].value == "the contrary holds"
    assert "hsa less moco-longer: linear-cached -6.0, knn -6.0 points" in found["at equal compute"].note


def measured(tmp_path: Path) -> PieceFolder:
    there = PieceFolder(tmp_path / "piece-4", "Piece 4: x", {"device": "cpu", "size": "full"})
    for part, cost in zip(KINDS, (COSTS.moco, COSTS.simclr, COSTS.warming, COSTS.hsa), strict=True):
        figures = [Row("seconds", cost.seconds, "s"), Row("TFLOP", cost.flops / 1e12)]
        there.put(part, figures, 2 * cost.seconds)
    return there


def test_epochs_fit_what_is_left_of_minutes_and_stay_in_later_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data/cifar10/train").mkdir(parents=True)
    asked: list[Path] = []
    monkeypatch.setattr(hsa, "go_on", lambda preset, *_: asked.append(preset))
    there = measured(tmp_path)
    few = call(tmp_path, minutes=1.0)
    assert "epochs that fit" in hsa.PIECE.run(few, there) and not asked
    assert there.wrong()[0].startswith("epochs that fit: MINUTES 1: 8 epochs of all rows need")
    left = hsa.PIECE.run(call(tmp_path, minutes=25.0), there)
    common = fitted(COSTS, 25 * 60 - 60 - hsa.EVALUATION)
    assert {row.what: row.value for row in there.parts["epochs that fit"].rows} == COSTS.epochs(common)
    assert left == ["moco", "simclr", "hsa-views", "hsa", "moco-longer", "claims"] and len(asked) == 1
    assert there.began == {"the run": 1}
    before = asked[0].read_text()
    hsa.PIECE.run(call(tmp_path, minutes=60.0), measured(tmp_path))
    assert asked[1].read_text() == before
    assert cost_of({"seconds": 4.0, "TFLOP": 40.0}) == Cost(4.0, 4e13)


def test_a_command_that_fails_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data/cifar10/train").mkdir(parents=True)

    def fails(preset: Path, out: Path, *_: object) -> int:
        log_of(out).write_text("much\nmore\nno room on the device\n")
        return 1

    monkeypatch.setattr(hsa, "go_on", fails)
    there = measured(tmp_path)
    assert "moco" in hsa.PIECE.run(call(tmp_path), there)
    assert "the run: it ended with 1" in there.wrong()[0] and "no room on the device" in there.wrong()[0]


def test_an_attempt_that_saves_nothing_leaves_no_mark(tmp_path: Path) -> None:
    logs = tmp_path / "moco/pretrain/abc-tensorboard"
    logs.mkdir(parents=True)
    (logs / "events.out.tfevents.1").touch()
    assert mark(tmp_path) == mark(tmp_path / "none") == ""
    saved = logs.with_name(".abc.resume.pth.part")
    saved.touch()
    first = mark(tmp_path)
    os.utime(saved, (1, 1))
    assert "" != first != mark(tmp_path) != ""


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command that never ends by itself, and the file that has its process's number."""
    script, number = tmp_path / "sleeper", tmp_path / "number"
    script.write_text(f"#!/bin/sh\necho $$ > {number}.new; mv {number}.new {number}; exec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    return number


def gone(number: Path) -> bool:
    try:
        os.kill(int(number.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
def test_a_command_is_ended_where_time_is_over(tmp_path: Path, sleeper: Path) -> None:
    until = time.monotonic() + STOPPING + 2
    assert go_on(tmp_path / "x.yaml", tmp_path / "run", 0, call(tmp_path, until=until)) is None
    assert gone(sleeper)


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
def test_a_call_that_is_stopped_leaves_no_command_behind(tmp_path: Path, sleeper: Path) -> None:
    def stop() -> None:
        while not sleeper.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(SystemExit) as ended:
        go_on(tmp_path / "x.yaml", tmp_path / "run", 0, call(tmp_path))
    assert ended.value.code == 128 + signal.SIGTERM
    assert gone(sleeper)


@pytest.mark.long
def test_the_command_is_stopped_where_time_is_over_and_goes_on(tmp_path: Path) -> None:
    tiny = call(tmp_path, tiny=True)
    preset, out = tmp_path / "rows.yaml", tmp_path / "run"
    write_fitted(rows(tiny), COSTS.epochs(MOST), preset)  # longer than this test has time for
    marks = [mark(out / "results")]
    for _ in range(2):
        until = time.monotonic() + STOPPING + 60
        assert go_on(preset, out, 0, replace(tiny, until=until)) is None
        assert time.monotonic() < until
        marks.append(mark(out / "results"))
    assert len({*marks}) == 3  # each call gets further, and none counts as a failed try
    assert "goes on after epoch" in log_of(out).read_text()
