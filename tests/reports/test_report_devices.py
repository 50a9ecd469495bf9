"""What the report says of devices and number formats: nothing where all is one CPU, else who was where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsa_bench.core.results.device import NOT_STATED, computed_on, device_of, differ, precision_of
from hsa_bench.core.results.result import Budget, Provenance, Source, TaskResult
from hsa_bench.core.results.store import Store
from reports.compare_runs import across_table
from reports.report import write_report
from reports.run_folder.collected import Collected, collect
from reports.run_folder.devices import unlike
from reports.run_folder.frame import tidy
from reports.run_folder.grid import Cell, Grid, lay_out
from reports.run_folder.merge import merge
from reports.sections.backbones import budget_table, pretraining_table
from reports.sections.devices import any_unlike, several_devices, several_precisions, untested
from reports.sections.provenance import provenance_table
from reports.sections.summary import summary
from reports.sections.tables import MEASURED, baseline_table, cost_table, main_table, statistics_table
from reports.statistics.cache import Cache
from reports.statistics.comparison import Comparison, compare
from tests.reports.report_folder import classified, provenance, result, write

CPU = {"cpu": "Example CPU", "cores": "2", "device": "cpu", "system": "Linux x86_64"}
H100 = {**CPU, "device": "cuda:0", "gpu": "NVIDIA H100 80GB HBM3", "driver": "580.65.06", "cudnn": "9.12.0"}
A100 = {**H100, "gpu": "NVIDIA A100-SXM4-40GB"}
MPS = {**CPU, "device": "mps", "gpu": "Apple M2"}
OLD = {**CPU, "device": "cuda"}
"""As results from before cards were named have it."""

BFLOAT16 = {"settings": {"k": 20, "precision": "bfloat16"}}
FLOAT32 = {"settings": {"k": 20, "precision": "float32"}}


def on(hardware: dict[str, str]) -> Provenance:
    return provenance(hardware=hardware)


def measured(out: Path, label: str, hardware: dict[str, str], share: float = 0.5, **more: Any) -> TaskResult:
    right = np.arange(200) % 10 < 10 * share
    facts = {"metrics": {"top1": float(right.mean() * 100)}, "provenance": on(hardware), **FLOAT32, **more}
    return write(out, result(label, "knn", **facts), classified(right))


def compared(out: Path, *results: TaskResult) -> tuple[Grid, Comparison]:
    collected = Collected(out, None, results, (), ())
    grid = lay_out(collected)
    return grid, compare(collected, grid, ["moco"], ["random"], Cache(out / "unused"))


def provenance_rows(*results: TaskResult) -> dict[str, str]:
    return dict(provenance_table(results).rows)


@pytest.mark.parametrize(
    ("hardware", "name"),
    [
        (CPU, "cpu Example CPU"),
        ({"device": "cpu"}, "cpu"),
        ({"device": "cpu:0", "cpu": "Example CPU"}, "cpu Example CPU"),
        (H100, "NVIDIA H100 80GB HBM3"),
        (OLD, "cuda, which card is not on file"),
        (MPS, "mps Apple M2"),
        ({**H100, "rocm": "6.4", "gpu": "AMD Instinct MI300X"}, "rocm AMD Instinct MI300X"),
        ({}, NOT_STATED),
        ({"cpu": "Example CPU"}, NOT_STATED),
    ],
)
def test_a_device_is_named_by_its_model(hardware: dict[str, str], name: str) -> None:
    assert device_of(hardware) == name


def test_several_processes_are_counted_beside_the_model() -> None:
    assert computed_on({**H100, "processes": "4"}) == "NVIDIA H100 80GB HBM3, 4 processes"
    assert device_of({**H100, "processes": "4"}) == device_of({**H100, "device": "cuda:3"})


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (CPU, CPU, False),
        (CPU, H100, True),
        (H100, A100, True),
        (H100, {**H100, "device": "cuda:5", "cpu": "Another CPU"}, False),
        (CPU, {**CPU, "cpu": "Another CPU"}, True),
        (OLD, H100, False),
        (OLD, CPU, True),
        ({}, H100, False),
    ],
)
def test_devices_differ_where_both_are_known_and_unlike(
    one: dict[str, str], other: dict[str, str], apart: bool
) -> None:
    assert differ(one, other) == differ(other, one) == apart


@pytest.mark.parametrize(
    ("stated", "hardware", "name"),
    [
        ({"precision": "float32"}, {**H100, "NVIDIA_TF32_OVERRIDE": "1"}, "tf32 by NVIDIA_TF32_OVERRIDE"),
        ({}, {**H100, "NVIDIA_TF32_OVERRIDE": "1"}, "tf32 by NVIDIA_TF32_OVERRIDE"),
        ({"precision": "32-true"}, {**H100, "NVIDIA_TF32_OVERRIDE": "1"}, "tf32 by NVIDIA_TF32_OVERRIDE"),
        ({"precision": "tf32"}, {**H100, "NVIDIA_TF32_OVERRIDE": "0"}, "float32 by NVIDIA_TF32_OVERRIDE"),
        ({"precision": "bfloat16"}, {**H100, "NVIDIA_TF32_OVERRIDE": "1"}, "bfloat16"),
        ({"precision": "float32"}, {**H100, "NVIDIA_TF32_OVERRIDE": "0"}, "float32"),
        ({"precision": "float32"}, {**CPU, "NVIDIA_TF32_OVERRIDE": "1"}, "float32"),
        ({"precision": "tf32"}, H100, "tf32"),
        ({"precision": "32-true"}, CPU, "float32"),
        ({"precision": "bf16-mixed"}, H100, "bfloat16"),
        ({}, H100, ""),
    ],
)
def test_a_format_is_what_computed_whatever_was_asked_for(
    stated: dict[str, str], hardware: dict[str, str], name: str
) -> None:
    assert precision_of(result("moco", "knn", settings=stated, provenance=on(hardware))) == name


def test_one_cpu_leaves_no_word_of_devices(tmp_path: Path) -> None:
    runs = [measured(tmp_path, label, CPU, share) for label, share in (("hsa", 0.7), ("moco", 0.5))]
    grid, comparison = compared(tmp_path, *runs)

    assert several_devices(grid) == several_precisions(grid) == ()
    assert untested(collect(tmp_path)) == ()
    assert not {"device", "precision"} & provenance_rows(*runs).keys()
    assert MEASURED not in statistics_table(grid, comparison).header
    assert "GPU" not in cost_table(grid).markdown()


def test_one_gpu_is_one_line_however_many_cards_of_it_there_were(tmp_path: Path) -> None:
    runs = [
        measured(tmp_path, "hsa", {**H100, "device": "cuda:1", "CUDA_VISIBLE_DEVICES": "GPU-1f0c"}),
        measured(tmp_path, "moco", H100),
    ]
    grid, comparison = compared(tmp_path, *runs)

    assert several_devices(grid) == ()
    rows = provenance_rows(*runs)
    assert rows["device"] == "NVIDIA H100 80GB HBM3"
    assert "driver 580.65.06, cudnn 9.12.0" in rows["hardware"] and "GPU-1f0c" not in rows["hardware"]
    assert "other device" not in baseline_table(grid, comparison, "moco").markdown()


def test_a_column_of_several_devices_names_who_was_where(tmp_path: Path) -> None:
    places = {"hsa": CPU, "moco": H100, "simclr": H100, "random": A100}
    runs = [measured(tmp_path, label, hardware) for label, hardware in places.items()]
    same = [r.model_copy(update={"spec": r.spec.model_copy(update={"task": "layers"})}) for r in runs]
    alike = [result(label, "linear", provenance=on(H100)) for label in places]

    grid, _ = compared(tmp_path, *runs, *same, *alike)

    assert several_devices(grid) == (
        "knn, layers: cpu Example CPU for hsa; NVIDIA H100 80GB HBM3 for moco, simclr; "
        "NVIDIA A100-SXM4-40GB for random.",
    )
    assert provenance_rows(*runs, *alike)["device"] == (
        "cpu Example CPU: knn (1 result)<br>NVIDIA H100 80GB HBM3: knn, linear (6 results)"
        "<br>NVIDIA A100-SXM4-40GB: knn (1 result)"
    )


def test_a_row_of_several_devices_is_named_with_its_seeds(tmp_path: Path) -> None:
    seeds = [measured(tmp_path, "hsa", H100 if seed else CPU, seed=seed, seeded=True) for seed in range(3)]

    grid, _ = compared(tmp_path, *seeds, measured(tmp_path, "moco", H100))

    assert several_devices(grid) == (
        "knn: cpu Example CPU for hsa (seed 0); NVIDIA H100 80GB HBM3 for hsa (seeds 1, 2), moco.",
    )


def test_a_result_that_says_nothing_is_named_as_such_and_takes_no_part_in_remarks(tmp_path: Path) -> None:
    grid, comparison = compared(
        tmp_path, measured(tmp_path, "elsewhere", {}, 0.8), measured(tmp_path, "moco", H100)
    )

    assert several_devices(grid) == ("knn: not stated for elsewhere; NVIDIA H100 80GB HBM3 for moco.",)
    assert "other device" not in baseline_table(grid, comparison, "moco").markdown()


def test_a_difference_between_devices_is_remarked_wherever_it_stands(tmp_path: Path) -> None:
    grid, comparison = compared(
        tmp_path,
        measured(tmp_path, "hsa", CPU, 0.8),
        measured(tmp_path, "simclr", H100, 0.6),
        measured(tmp_path, "moco", H100),
    )

    rows = {row[0]: row[1] for row in baseline_table(grid, comparison, "moco").rows}
    assert rows["hsa"].endswith("<br>other device") and "device" not in rows["simclr"]
    table = statistics_table(grid, comparison)
    ends = {row[0]: row[-1] for row in table.rows}
    assert table.header[-1] == MEASURED and {len(row) for row in table.rows} == {len(table.header)}
    assert ends == {
        "hsa": "cpu Example CPU, float32 against NVIDIA H100 80GB HBM3, float32",
        "simclr": "—",
    }
    said = " ".join(summary(grid, comparison, set()))
    assert ", other device)" in said.split("simclr")[0] and "other" not in said.split("simclr")[1]
    assert any_unlike(grid, comparison)


def test_a_merged_report_says_who_was_where_and_what_follows(tmp_path: Path) -> None:
    control = Source(path="random", format="control")
    measured(tmp_path / "a", "moco", H100)
    measured(tmp_path / "a", "hsa", H100, 0.7)
    measured(tmp_path / "b", "random", CPU, source=control)
    measured(tmp_path / "b", "hsa", CPU, 0.8)
    measured(tmp_path / "b", "simclr", MPS, 0.9)
    write(tmp_path / "b", result("simclr", "pretrain", provenance=on({**CPU, "device": "xpu:0"})))

    done = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    text = write_report(tmp_path / "all", baselines=["moco"]).read_text()

    (conflict,) = done.conflicts
    assert "top1 70.00 in a (NVIDIA H100 80GB HBM3), 80.00 in b (cpu Example CPU);" in conflict
    assert "one specification must give one number, to the rounding of unlike devices" in conflict
    assert "**Measured on several devices, so that differences between these are also of rounding**" in text
    where = "knn: NVIDIA H100 80GB HBM3 for hsa, moco; cpu Example CPU for random; mps Apple M2 for simclr."
    assert f"- {where}" in text
    assert "moco, knn: +0.0 [+0.0, +0.0] to random, other device" in text
    assert '"other device", "other precision": the two were measured on unlike devices' in text
    assert "**Measured on devices that this suite is not tested on**" in text
    assert untested(collect(tmp_path / "all")) == ("mps Apple M2: knn (simclr).", "xpu: pretrain (simclr).")


def test_number_formats_are_columns_apart_that_say_so() -> None:
    runs = [result("hsa", "knn", **BFLOAT16), result("moco", "knn", **FLOAT32)]
    grid, comparison = compared(Path(), *runs)

    assert grid.columns == ("knn (bfloat16)", "knn (float32)")
    assert not comparison.differences
    assert provenance_rows(*runs)["precision"] == "bfloat16: knn (1 result)<br>float32: knn (1 result)"


def test_a_task_that_states_no_number_format_computes_in_float32() -> None:
    """As a detector does at its default, which is left out of its settings."""
    runs = [result("hsa", "coco", settings={"precision": "bfloat16"}), result("moco", "coco", settings={})]

    assert compared(Path(), *runs)[0].columns == ("coco (bfloat16)", "coco (float32)")
    assert unlike(*(Cell(r.label, "coco", (r,)) for r in runs)) == "other precision"


@pytest.mark.parametrize(("stated", "head"), [(BFLOAT16, "knn<br>top1 (bfloat16)"), (FLOAT32, "knn<br>top1")])
def test_a_column_says_its_number_format_unless_it_is_the_usual(stated: dict[str, Any], head: str) -> None:
    grid, comparison = compared(Path(), result("hsa", "knn", **stated), result("moco", "knn", **stated))

    assert main_table(grid, comparison).header == ("backbone", head)


def test_number_formats_within_a_column_are_named_and_remarked(tmp_path: Path) -> None:
    forced = {**H100, "NVIDIA_TF32_OVERRIDE": "1"}
    grid, comparison = compared(
        tmp_path, measured(tmp_path, "hsa", forced, 0.8), measured(tmp_path, "moco", H100)
    )

    assert several_precisions(grid) == ("knn: tf32 by NVIDIA_TF32_OVERRIDE for hsa; float32 for moco.",)
    assert baseline_table(grid, comparison, "moco").rows[0][1].endswith("<br>other precision")


def test_hostile_names_of_devices_break_no_table(tmp_path: Path) -> None:
    odd = {**CPU, "device": "cuda", "gpu": "<b>|x|</b>\n# y"}
    grid, comparison = compared(
        tmp_path, measured(tmp_path, "hsa", odd, 0.8), measured(tmp_path, "moco", H100)
    )

    said = [
        *several_devices(grid),
        statistics_table(grid, comparison).markdown(),
        provenance_rows(*[run for row in grid.rows for run in grid.in_row(row)])["device"],
    ]
    assert all("<b>" not in text and "\n#" not in text for text in said)


def test_the_memory_of_a_gpu_stands_beside_the_process_s(tmp_path: Path) -> None:
    runs = [
        result("moco", "knn", peak_memory_mb=900, peak_device_memory_mb=10_240.4, seconds=30),
        result("hsa", "knn", peak_memory_mb=900, seconds=30),
    ]
    grid, _ = compared(tmp_path, *runs)

    cells = {row[0]: row[1] for row in cost_table(grid).rows}
    assert cells == {"moco": "30 s<br>900 MB, GPU 10,240 MB", "hsa": "30 s<br>900 MB"}
    frame = tidy(runs)
    assert frame["peak_device_memory_mb"].tolist()[0] == 10_240.4
    assert frame["peak_device_memory_mb"].isna().tolist() == [False, True]
    trained = result("moco", "pretrain", peak_memory_mb=900, peak_device_memory_mb=512)
    table = pretraining_table(Collected(Path(), None, (trained,), (), ()))
    assert table.rows[0][table.header.index("of the GPU, MB")] == "512"


def test_a_result_from_before_is_read_and_has_no_such_memory(tmp_path: Path) -> None:
    path = Store(tmp_path).put(result("moco", "knn"))
    text = path.read_text()
    assert '"peak_device_memory_mb": 0.0' in text
    path.write_text(text.replace(' "peak_device_memory_mb": 0.0,\n', ""))

    (read,) = collect(tmp_path).results

    assert read.peak_device_memory_mb == 0


@pytest.mark.parametrize(("device", "known"), [("NVIDIA H100 80GB HBM3, 4 processes", True), ("", False)])
def test_what_pretraining_cost_says_on_which_device_where_a_file_says_it(device: str, known: bool) -> None:
    spent = Budget(method="moco", dataset="x", epochs=1, images=1, views=2, seconds=1, seed=0, device=device)
    runs = [
        result("moco", "knn", source=Source(path="m.pth", format="hsa_bench", budget=spent)),
        result("other", "knn"),
        result("random", "knn"),
    ]

    table = budget_table(lay_out(Collected(Path(), None, tuple(runs), (), ())), ["random"])

    assert {len(row) for row in table.rows} == {len(table.header)}
    assert ("device" in table.header) == known
    if known:
        at = table.header.index("device")
        assert [row[at] for row in table.rows] == [device, "unknown", "—"]


def test_two_runs_side_by_side_name_their_devices(tmp_path: Path) -> None:
    measured(tmp_path / "a", "hsa", CPU, 0.7)
    measured(tmp_path / "b", "hsa", H100, 0.8, **BFLOAT16)

    (row,) = across_table(collect(tmp_path / "a"), collect(tmp_path / "b")).rows

    assert row[-1].endswith(
        "device cpu Example CPU → NVIDIA H100 80GB HBM3, precision float32 → bfloat16, so that the "
        "difference is also one of rounding"
    )
    assert row[-1].count("precision") == 1
