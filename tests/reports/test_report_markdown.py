"""The whole report: its order, its links, and that it needs no torch."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.store import Store
from reports.report import write_report
from reports.run_folder.collected import collect
from tests.reports.report_folder import result, write
from tests.support.command import TORCH, start_code, start_without


@pytest.fixture(scope="module")
def report(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(demo_run, tmp_path_factory.mktemp("report") / "report.md")


def test_sections_stand_in_reading_order(report: Path) -> None:
    headings = re.findall(r"^## (.+)$", report.read_text(), flags=re.MULTILINE)

    assert headings == [
        "Results",
        "Checks",
        "Beyond the single number",
        "Tasks",
        "Backbones",
        "Pretraining",
        "Cost",
        "Published numbers",
        "Statistics",
        "Provenance",
    ]


def test_the_header_says_preset_data_version_commit_machine_and_command(report: Path) -> None:
    head = report.read_text().partition("## ")[0]

    for fact in ("demo", "digits", "hsa_bench 0.1.0", "4f1d2c3b5a69", "Example CPU", "--preset demo"):
        assert fact in head


def test_every_table_has_as_many_cells_in_each_row_as_in_its_header(report: Path) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", report.read_text(), flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block
        assert re.fullmatch(r"(\| :?-+:? )+\|", block.splitlines()[1])


def test_pictures_of_the_report_exist_and_can_be_opened(report: Path) -> None:
    found = re.findall(r"!\[.+\]\((.+)\)", report.read_text())

    for name in ("comparison", "pretraining", "confusion", "fractions"):
        assert f"figures/{name}.png" in found
    for picture in found:
        with Image.open(report.parent / picture) as image:
            assert min(image.size) > 300


def test_the_csv_has_every_number_of_the_plan(report: Path, demo_run: Path) -> None:
    with report.with_name("results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    expected = sum(max(1, len(r.values)) for r in collect(demo_run).results)
    assert len(rows) == expected
    assert {row["status"] for row in rows} == {"ok", "failed", "skipped"}


def test_a_limited_run_says_so_at_the_top(tmp_path: Path) -> None:
    write(tmp_path, result("moco", "knn", limit=64))

    head = write_report(tmp_path).read_text().partition("## ")[0]

    assert "**Limited run" in head


def test_a_plan_of_which_nothing_ran_still_gives_a_report(tmp_path: Path) -> None:
    cell = PlannedRun(label="hsa", task="linear", seed=0, blocked="its pretraining failed")
    plan = PlanFile(title="t", preset="p", baselines=("hsa",), command="c", runs=(cell,))
    Store(tmp_path).write_plan(plan)

    text = write_report(tmp_path).read_text()

    assert "hsa, linear, seed 0: its pretraining failed" in text
    assert "| hsa (baseline) | — |" in text


def test_pictures_left_by_a_task_are_placed_in_its_section(tmp_path: Path) -> None:
    run = result("moco", "coco", artefacts={"detections": "pictures.png", "checkpoint": "weights.pth"})
    write(tmp_path, run)
    Image.new("RGB", (8, 8)).save(Store(tmp_path).path("moco", "coco", "x").with_name("pictures.png"))

    report = write_report(tmp_path)

    assert "![moco, coco, seed 0: detections](figures/moco-coco-pictures.png)" in report.read_text()
    assert (tmp_path / "figures/moco-coco-pictures.png").is_file()


def test_another_baseline_can_be_asked_for_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    for label in ("hsa", "moco"):
        write(tmp_path, result(label, "knn"))

    assert "hsa (baseline)" in write_report(tmp_path, baselines=["hsa"]).read_text()
    with pytest.raises(ValueError, match="byol: no such backbone; there are hsa, moco"):
        write_report(tmp_path, baselines=["byol"])


def test_the_command_rebuilds_the_same_report_without_torch(demo_run: Path, tmp_path: Path) -> None:
    here, there = (shutil.copytree(demo_run, tmp_path / name / "run") for name in ("here", "there"))
    report = write_report(here)

    done = start_without("reports", str(there / "results"))

    assert done.returncode == 0, done.stderr
    assert str(there / "report.md") in done.stdout
    for name in ("report.md", "report.html", "results.csv", "tables/results.tex", "tables/statistics.csv"):
        assert (there / name).read_bytes() == (report.parent / name).read_bytes()


def test_a_missing_folder_is_wrong_usage(tmp_path: Path) -> None:
    done = start_without("reports", str(tmp_path / "nowhere"))

    assert done.returncode == 2
    assert "nowhere: no such folder" in done.stderr and "Traceback" not in done.stderr


def test_the_contracts_of_results_need_no_torch() -> None:
    names = ("result", "metric", "schema2", "store", "outcomes", "average_precision")
    done = start_code(";".join(f"import hsa_bench.core.results.{name}" for name in names), without=TORCH)

    assert done.returncode == 0, done.stderr


def test_help_is_there_before_pandas_and_matplotlib_are_loaded() -> None:
    code = "import reports.__main__, sys; print(sorted({'pandas', 'matplotlib', 'numpy'} & set(sys.modules)))"
    done = start_code(code, without=TORCH)

    assert done.stdout.strip() == "[]", done.stderr
