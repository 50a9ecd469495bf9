"""The published numbers: each has a source, and none is from memory only."""

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest

import reports
from hsa_bench.core.registry import names

ROOT = Path(__file__).parents[2]
RESEARCH = ROOT / ".." / "shared/research/published_numbers.md"

HEADER = (
    "method,architecture,epochs,multi_crop,dataset,task,recipe,ours,metric,value,std,std_of,paper,table,"
    "confirmed,note"
)
PROTOCOL = ["method", "architecture", "epochs", "multi_crop", "dataset", "task", "recipe", "metric"]

BOXES, MASKS = ({f"{kind}/{name}" for name in ("AP", "AP50", "AP75")} for kind in ("bbox", "segm"))
RATES = {"top1", "top5"}
LABELLED = {"imagenet", "cifar10", "cifar100", "stl10", "tiny-imagenet", "imagenette", "imagenet100"}
TASKS: dict[str, tuple[set[str], set[str]]] = {
    "linear": (RATES, LABELLED),
    "knn": (RATES, LABELLED),
    "semisup-1": (RATES, {"imagenet"}),
    "semisup-10": (RATES, {"imagenet"}),
    "semisup-1-selftrain": (RATES, {"imagenet"}),
    "semisup-10-selftrain": (RATES, {"imagenet"}),
    "voc": (BOXES, {"voc07+12"}),
    "coco-c4-1x": (BOXES | MASKS, {"coco"}),
    "coco-c4-2x": (BOXES | MASKS, {"coco"}),
    "coco-fpn-1x": (BOXES | MASKS, {"coco"}),
    "coco-fpn-2x": (BOXES | MASKS, {"coco"}),
    "voc07-linear": ({"mAP"}, {"voc07"}),
}
"""Metrics and data sets of each task, in the file's order."""

CONFLICTS = [
    ("UDA", "semisup-10", "68.8", "68.1"),
    ("SimCLR v2", "semisup-10", "68.4", "68.1"),
    ("BYOL", "linear", "74.3", "74.4"),
    ("LocalAgg", "linear", "58.8", "60.2"),
    ("Barlow Twins", "linear", "73.2", "73.5"),
    ("NNCLR", "semisup-1", "56.4", "56.5"),
    ("SimCLR", "linear", "69.3", "69.1"),
    ("Supervised", "linear", "76.5", "76.1"),
    ("Supervised", "linear", "76.5", "79.3"),
    ("Supervised", "linear", "76.1", "79.3"),
    ("SwAV", "linear", "70.1", "71.8"),
    ("SwAV", "linear", "70.1", "70.7"),
    ("MoCo v1", "linear", "60.6", "60.8"),
    ("MoCo v2", "linear", "67.5", "67.7"),
    ("MoCo v2", "linear", "67.5", "66.4"),
    ("MoCo v2", "linear", "71.1", "72.2"),
    ("PIRL", "linear", "63.6", "64.29"),
    ("PIRL", "linear", "62.55", "61.7"),
    ("MoCo v2", "voc", "82.4", "81.06"),
    ("SwAV", "voc", "82.6", "77.64"),
    ("MoCo v1", "coco-c4-2x", "35.4", "35.6"),
]

ALIASES = {
    "Barlow Twins": "barlow",
    "CoMatch (MoCo v2)": "comatch",
    "CsMl (v2)": "csml",
    "DeepCluster-v2": "deepclusterv2",
    "FixMatch-DA (MoCo v2)": "fixmatchda",
    "HSA (v1)": "hsa",
    "Mixed Barlow Twins": "mixedbarlow",
    "Random init": "(random|scratch)",
    "Relative-Loc": "rel(ative)?loc",
    "SimCLR v2 + self-distillation": r"simclrv2\+selfdistill",
    "Supervised": r"(supervised|ce\d)",
}
"""How the research file names a method, without case, blanks and signs, as a pattern."""


def rows() -> list[dict[str, str]]:
    with (Path(reports.__file__).parent / "published/published.csv").open(
        newline="", encoding="utf-8"
    ) as file:
        return list(csv.DictReader(file))


def research() -> str:
    if not RESEARCH.exists():
        pytest.skip(f"{RESEARCH} is not there")
    return RESEARCH.read_text(encoding="utf-8")


def confirmed_lines(text: str) -> list[str]:
    """Lines of the research file without the parts that are marked as from memory."""
    text = re.sub(r"(\d+\.\d) / \d+\.\d / \d+\.\d \(AP,AP75 \[M\]\)", r"\1", text)
    text = re.sub(r"\*\*[^*|]*\[M\][^*|]*\*\*", "", text)
    text = re.sub(r"[\d.]+\[M\]", "", text)
    lines = []
    for line in text.partition("## PART B")[2].splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        filled = [cell for cell in cells if cell]
        if filled and filled[-1].startswith("[M"):
            continue  # the source of the whole row
        lines.append(
            " | ".join("; ".join(part for part in cell.split(";") if "[M" not in part) for cell in cells)
        )
    return lines


def numbers(text: str) -> set[str]:
    return set(re.findall(r"(?<![\d.])\d+\.\d+(?![\d.]*\d)", text))


def squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", text.lower())


def having(method: str, task: str, value: str) -> list[dict[str, str]]:
    return [row for row in rows() if (row["method"], row["task"], row["value"]) == (method, task, value)]


def test_the_columns_are_those_that_the_report_reads() -> None:
    found = rows()

    assert ",".join(found[0]) == HEADER
    assert all(None not in row and None not in row.values() for row in found)
    assert all(cell == cell.strip() for row in found for cell in row.values())


def test_values_are_percentages() -> None:
    for row in rows():
        assert re.fullmatch(r"\d{1,2}\.\d{1,2}", row["value"]) and 0 < float(row["value"]) < 100, row
        assert bool(row["std"]) == bool(row["std_of"]), row
        assert not row["std"] or 0 < float(row["std"]) < 1, row


def test_epochs_are_whole_numbers_and_multi_crop_is_yes_or_no_where_known() -> None:
    for row in rows():
        assert re.fullmatch(r"(\d{2,4})?", row["epochs"]), row
        assert row["multi_crop"] in {"yes", "no", ""}, row


def test_every_row_names_a_source_and_how_it_was_confirmed() -> None:
    for row in rows():
        assert row["paper"] or row["table"], row
        assert re.fullmatch(r"(\d{4}\.\d{4,5}(v\d)?)?", row["paper"]), row
        assert row["confirmed"] and "memory" not in row["confirmed"], row


def test_no_row_stands_twice() -> None:
    keys = [tuple(row[name] for name in [*PROTOCOL, "value"]) for row in rows()]

    assert len(keys) == len(set(keys))


def test_rows_stand_in_the_order_of_their_tasks() -> None:
    places = [list(TASKS).index(row["task"]) for row in rows()]

    assert places == sorted(places)


def test_metrics_and_data_sets_fit_the_task() -> None:
    for row in rows():
        metrics, datasets = TASKS[row["task"]]
        assert row["metric"] in metrics and row["dataset"] in datasets, row


def test_our_task_is_empty_or_a_declared_one_of_the_same_family() -> None:
    declared = names("eval_tasks")

    for row in rows():
        assert row["ours"] in {"", *declared}, row
        family = "coco" if row["ours"] == "coco" and row["task"] == "coco-c4-2x" else row["task"]
        assert not row["ours"] or re.fullmatch(rf"{re.escape(family)}(-[a-z0-9]+)?", row["ours"]), row


def test_a_method_has_one_spelling() -> None:
    spellings = defaultdict(set)
    for row in rows():
        spellings[squeezed(row["method"])].add(row["method"])

    assert {name: found for name, found in spellings.items() if len(found) > 1} == {}


def test_different_values_of_one_protocol_carry_notes() -> None:
    same = defaultdict(list)
    for row in rows():
        same[tuple(row[name] for name in PROTOCOL)].append(row)

    assert all(row["note"] for group in same.values() if len(group) > 1 for row in group)


@pytest.mark.parametrize(("method", "task", "one", "other"), CONFLICTS)
def test_both_versions_of_a_conflict_are_there_and_name_each_other(
    method: str, task: str, one: str, other: str
) -> None:
    for value, named in ((one, other), (other, one)):
        assert any(named in numbers(row["note"]) for row in having(method, task, value)), (value, named)


def test_semi_supervised_numbers_of_hsa_are_self_training_of_inferred_procedure() -> None:
    found = [row for row in rows() if row["method"].startswith(("HSA", "CsMl")) and "semisup" in row["task"]]

    assert {row["value"] for row in found} == {"66.7", "75.1"}
    for row in found:
        assert row["task"].endswith("-selftrain") and "procedure inferred" in row["note"], row
        assert not row["ours"], row


def test_reruns_of_mmselfsup_on_voc_say_that_they_are_low() -> None:
    found = [row for row in rows() if row["task"] == "voc" and "MMSelfSup" in row["recipe"]]

    assert len(found) == 7
    assert all("below" in row["note"] for row in found)


def test_every_value_occurs_in_the_research_file() -> None:
    known = numbers(research())

    assert [row for row in rows() if row["value"] not in known] == []


def test_numbers_in_notes_are_confirmed_too() -> None:
    known = numbers("\n".join(confirmed_lines(research()))) | {"0.1", "0.2"}

    assert [row for row in rows() if numbers(row["note"]) - known] == []


def test_no_value_of_a_method_is_from_memory_only() -> None:
    lines = [(squeezed(line), numbers(line)) for line in confirmed_lines(research())]
    for row in rows():
        plain = re.escape(squeezed(row["method"])) + r"(?!v\d|\+)"
        method = ALIASES.get(row["method"], plain)
        assert any(re.search(method, line) and row["value"] in found for line, found in lines), row


def test_what_is_marked_as_from_memory_is_recognised() -> None:
    kept = numbers("\n".join(confirmed_lines(research())))

    assert {"57.9", "68.8", "82.6", "79.67", "32.8"} <= kept
    assert kept.isdisjoint({"59.51", "91.80", "88.5", "49.3", "63.4", "28.5"})
