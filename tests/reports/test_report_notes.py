"""What the notes warn of."""

from pathlib import Path

import numpy as np

from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import DataId, Failure, TaskResult
from reports.published.beside import anchors
from reports.run_folder.collected import Collected
from reports.run_folder.grid import lay_out
from reports.sections.notes import notes
from reports.statistics.cache import Cache
from reports.statistics.comparison import compare
from tests.reports.report_folder import classified, provenance, result, write


def noted(
    out: Path,
    *results: TaskResult,
    absent: tuple[PlannedRun, ...] = (),
    plan: PlanFile | None = None,
    **more: object,
) -> dict[str, tuple[str, ...]]:
    collected = Collected(out, plan, results, absent, **{"unreadable": (), **more})
    grid = lay_out(collected)
    comparison = compare(collected, grid, ["moco"], ["random", "pixels"], Cache(out / "unused"))
    found = notes(collected, grid, comparison, anchors(collected, grid, {}))
    return {group.title.partition(" (")[0]: group.items for group in found}


def measured(out: Path, label: str, right: np.ndarray, **changed: object) -> TaskResult:
    facts = {"metrics": {"top1": float(right.mean() * 100)}, **changed}
    return write(out, result(label, "knn", **facts), classified(right))


def test_a_clean_run_has_no_notes(tmp_path: Path) -> None:
    right = np.arange(200) % 4 > 0

    assert noted(tmp_path, *(measured(tmp_path, label, right) for label in ("hsa", "moco"))) == {}


def test_failures_are_named_with_their_reason_and_file(tmp_path: Path) -> None:
    failure = Failure(kind="exception", message="ValueError: the loss is nan\nat step 3")
    failed = result("hsa", "linear", status="failed", metrics={}, failure=failure)

    (line,) = noted(tmp_path, failed)["Failed"]

    assert line.startswith("hsa, linear, seed 0: exception: ValueError: the loss is nan (")
    assert f"results/hsa/linear/{failed.spec.key}.json" in line


def test_skipped_blocked_unreadable_and_unplanned_are_named(tmp_path: Path) -> None:
    skipped = result("pixels", "linear", status="skipped", metrics={}, reason="nothing to fine-tune")
    absent = (
        PlannedRun(label="hsa", task="coco", seed=0, blocked="its pretraining failed: out of memory"),
        PlannedRun(label="moco", task="coco", seed=1, key="0" * 16),
    )

    found = noted(tmp_path, skipped, absent=absent, unreadable=("results/x.json: broken",), unplanned=1)

    assert found["Skipped"] == ("pixels, linear: nothing to fine-tune",)
    assert found["Blocked or not run yet"] == (
        "hsa, coco, seed 0: its pretraining failed: out of memory",
        "moco, coco, seed 1: not run yet",
    )
    assert found["Files left out"][0] == "results/x.json: broken"
    assert found["Files left out"][1].startswith("1 further result is ")


def test_a_limited_run_is_called_so(tmp_path: Path) -> None:
    (line,) = noted(tmp_path, result("moco", "knn", limit=64))["Limited"]

    assert "64 training and test images" in line and "no comparison table" in line


def test_weights_that_do_not_beat_an_untrained_network_are_flagged(tmp_path: Path) -> None:
    right = np.arange(200) % 2 == 0
    better = right | (np.arange(200) % 5 == 0)
    results = [
        measured(tmp_path, label, which)
        for label, which in (("hsa", right), ("moco", better), ("random", right))
    ]

    (line,) = noted(tmp_path, *results)["Not shown to be better than an untrained network"]

    assert line == "hsa, knn: +0.0 [+0.0, +0.0] to random"


def test_weights_that_a_lucky_initialisation_beats_are_flagged(tmp_path: Path) -> None:
    """Above the mean of three, 60 %, by the interval over test images; but one of the three has 80 %."""
    shares = {"one": 100, "two": 100, "lucky": 160}
    controls = [
        measured(tmp_path, "random", np.arange(200) < share, weights=name) for name, share in shares.items()
    ]
    backbones = [
        measured(tmp_path, label, np.arange(200) < share) for label, share in (("moco", 150), ("hsa", 170))
    ]

    (line,) = noted(tmp_path, *backbones, *controls)["Not shown to be better than an untrained network"]

    assert line.startswith("moco, knn: +15.0 [+1")
    assert line.endswith(" to random; 75.0 beside 80.0, the best of 3 initialisations")


def test_an_untrained_network_is_held_against_its_own_architecture_only(tmp_path: Path) -> None:
    right = np.arange(200) % 2 == 0
    pixels = measured(tmp_path, "pixels", right, arch="pixels")

    found = noted(tmp_path, pixels, measured(tmp_path, "moco", right), measured(tmp_path, "random", right))

    assert all(line.startswith("moco") for line in found["Not shown to be better than an untrained network"])


def test_pairs_that_are_not_comparable_are_named_with_the_reason(tmp_path: Path) -> None:
    right = np.arange(200) % 2 == 0
    moved = measured(tmp_path, "hsa", right, data=DataId(name="digits", fingerprint="ffff"))

    found = noted(tmp_path, moved, measured(tmp_path, "moco", right))

    assert any("was measured in several ways" in line for line in found["Origin of the numbers"])
    assert any("moco has no number on knn" in line for line in found["Not compared"])


def test_missing_outcomes_are_named(tmp_path: Path) -> None:
    found = noted(tmp_path, result("moco", "knn"), result("hsa", "knn"))

    assert "knn: no per-example outcomes were stored (moco, hsa)." in found["Not compared"]


def test_mixed_origins_and_uncommitted_changes_are_named(tmp_path: Path) -> None:
    right = np.arange(200) % 2 == 0
    gpu = provenance(dirty=True, version="0.2.0", commit="beef")

    found = noted(
        tmp_path, measured(tmp_path, "moco", right), measured(tmp_path, "hsa", right, provenance=gpu)
    )
    lines = " ".join(found["Origin of the numbers"])

    assert "several versions of hsa_bench: 0.1.0, 0.2.0" in lines
    assert "several commits" in lines
    assert "1 result is made with uncommitted changes" in lines


def test_the_presets_departures_are_repeated(tmp_path: Path) -> None:
    plan = PlanFile(title="t", preset="p", notes=("SGD instead of LARS",), command="", runs=())

    assert noted(tmp_path, plan=plan)["Departures and remarks of the preset"] == ("SGD instead of LARS",)


def test_objects_that_were_left_out_are_counted_and_named(tmp_path: Path) -> None:
    effective = {
        "dropped_objects": {"train": 0, "val": 2},
        "dropped": ["val.txt: object 3 in b0.jpg: its box has no area"],
    }
    runs = [result(label, "coco", effective=effective) for label in ("hsa", "moco")]

    assert noted(tmp_path, *runs)["Objects left out of the data"] == (
        "coco: 0 of train, 2 of val, such as: val.txt: object 3 in b0.jpg: its box has no area.",
    )


def test_remarks_of_the_data_stand_once_for_all_rows(tmp_path: Path) -> None:
    effective = {
        "data_notes": ["birds: passed over 2 hidden names", "birds: <b>owl</b> in test pictures alone"]
    }
    runs = [result(label, "knn", effective=effective) for label in ("hsa", "moco")]

    assert noted(tmp_path, *runs)["Remarked of the data"] == (
        "birds: passed over 2 hidden names.",
        "birds: &lt;b&gt;owl&lt;/b&gt; in test pictures alone.",
    )
