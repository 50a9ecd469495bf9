"""Whatever a result says, the report shows as text: no tag, link, picture, formula or colour comes of it."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from hsa_bench.core.results import outcomes
from hsa_bench.core.results.curve import Curve, Sweep
from hsa_bench.core.results.metric import Metric
from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import RunSpec, TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.suite.display import Display
from reports.__main__ import app
from reports.figures.style import STYLE
from reports.keep import keep_report
from reports.report import write_report
from reports.writing.table import code, one_line, plain
from tests.support.hostile import MARK, TEXTS, as_name, filled

TAGS = {"br", "details", "summary", "code", "strong", "em", "small", "s"}
OURS = re.compile(r"#|results\.csv$|tables/|https://arxiv\.org/abs/[\w./-]+$")
IMAGES, BACKBONES = 30, 3
TAIL = " ![evil](../secret.png) <img src=evil> `evil` **evil**"
"""After each text, so that none that stands somewhere as it is goes unseen."""


def metrics(text: Iterator[str], main: str) -> tuple[Any, ...]:
    """One as it is filled, and one of each kind that has a table or a figure of its own."""

    def one(**given: Any) -> dict[str, Any]:
        facts = {"value": 50.0, "better": "higher", "draws": (1.0, 2.0), "recompute": "", "plane": ""}
        return filled(Metric, text, {"layer": "", "shots": 0, "category": "", "by": "", **facts, **given})

    family = next(text)
    further = (
        filled(Metric, text, {"recompute": "", "plane": ""}),
        *(one(layer=layer, family=family) for layer in (next(text), f"{next(text)}1", "9" * 5000)),
        *(one(shots=k, family=family) for k in (1, 2)),
        *(one(plane=axis) for axis in ("x", "y")),
    )
    named = ({**metric, "name": f"{metric['name']} {number}"} for number, metric in enumerate(further))
    return (one(name=main, recompute="top1"), *named)


def hostile(text: Iterator[str], task: str, main: str = "top1", **given: Any) -> TaskResult:
    """A result whose every text is the next one."""
    same = cycle([*TEXTS[len(task) :], *TEXTS])  # a column is a task, a row a backbone
    spec = filled(RunSpec, same, {"task": task, "version": 1, "seed": 0, "limit": None})
    deep = {next(same): [next(same), None]}
    spec["settings"] = {next(same): next(same), "engine": next(same), "deep": deep}
    card = {TEXTS[1]: TEXTS[0], "mean": [TEXTS[2], 1.0], "std": [0.1, 0.2]}
    spec["backbone"] = {"arch": TEXTS[4] + TAIL, "weights": next(text), "card": card}
    curve = {"values": (3.0, 2.0), "at": (1.0, 2.0), "better": "higher", "detail": False}
    sweep = {"settings": (next(text),), "points": ((1.0, 2.0), (3.0, 4.0)), "own": (1.0,)}
    effective = {name: next(text) for name in ("recipe", "paper_prints", next(text))}
    facts = {
        "schema_version": 3,
        "label": as_name(next(text)),
        "spec": spec,
        "main_metric": main,
        "diagnostic": False,
        "metrics": metrics(text, main),
        "curves": tuple(filled(Curve, text, {**curve, "along": along}) for along in ("epoch", "place")),
        "sweeps": (filled(Sweep, text, sweep),),
        "effective": {
            **effective,
            "dropped": [next(text)],
            "data_notes": [next(text)],
            "dropped_objects": {next(text): next(text)},
        },
        "artefacts": {},
        "examples": "",
    }
    return TaskResult.model_validate(filled(TaskResult, text, {**facts, **given}))


def fill(out: Path) -> None:
    """A folder of a few backbones, every text of which is a stranger's."""
    store, text = Store(out), cycle(f"{text}{TAIL}" for text in TEXTS)
    names = iter(map(as_name, TEXTS))
    label = np.arange(IMAGES) % len(TEXTS)
    planned = []
    for i in range(BACKBONES):
        own = {"label": next(names), "status": "ok"}
        results = [hostile(text, "pretrain", **own)]
        results += [hostile(text, as_name(TEXTS[0]), TEXTS[1] + TAIL, **own)]
        results += [hostile(text, "transfer-a", **{**own, "status": ("failed", "skipped")[i % 2]})]
        results += [hostile(text, f"transfer-{as_name(TEXTS[5])}", **own)]
        right = label if i % 2 else np.zeros_like(label)
        value = float(np.mean(right == label) * 100)
        one = hostile(text, "knn", **own)
        name = store.path(one.label, "knn", one.spec.key).with_suffix(".npz")
        examples = np.array([f"{TEXTS[n % len(TEXTS)]} {n}" for n in range(IMAGES)])
        score = np.ones(IMAGES, np.float32)
        shown = np.array([f"{name} {n}" for n, name in enumerate(TEXTS)])
        kept = outcomes.ClassificationOutcomes(examples, label, right, score, right == label, shown)
        outcomes.save(name, kept)
        main = one.metrics[0].model_copy(update={"value": value})
        changes = {"metrics": (main, *one.metrics[1:]), "examples": name.name}
        for result in (*results, one.model_copy(update=changes)):
            store.put(result)
            cell = {"label": result.label, "task": result.spec.task, "seed": 0, "key": result.spec.key}
            planned.append(PlannedRun(**cell))
        planned.append(PlannedRun(label=own["label"], task="knn", seed=9, blocked=next(text)))
    labels = [as_name(text) for text in TEXTS][:BACKBONES]
    facts = {"baselines": labels[:2], "controls": labels[2:3], "limited": False, "runs": planned}
    facts |= {"notes": TEXTS, "claims": dict(zip(labels, TEXTS, strict=False))}
    rows = {"row": labels[0], "less": labels[1]}
    facts |= {"pairs": [{**rows, "label": one + TAIL, "question": one + TAIL} for one in TEXTS]}
    store.write_plan(PlanFile.model_validate(filled(PlanFile, text, facts)))
    odd = out / "results" / "odd" / as_name(TEXTS[0]) / "=evil[x](y).json"
    odd.parent.mkdir(parents=True)
    odd.write_text("{")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers")
    Image.new("RGB", (4, 4), "red").save(folder / "secret.png")
    fill(folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STYLE, "savefig.dpi", 20)
        write_report(folder / "run")
    return folder / "run"


def every(tokens: list[Token]) -> list[Token]:
    return [one for token in tokens for one in (token, *every(token.children or []))]


def parsed(run: Path) -> list[Token]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return every(parser.parse((run / "report.md").read_text()))


def test_in_markdown_no_text_becomes_a_tag_a_link_or_a_picture(run: Path) -> None:
    tokens = parsed(run)

    for token in tokens:
        if token.type in {"html_block", "html_inline"}:
            assert MARK not in token.content
            assert {tag.strip("/") for tag in re.findall(r"<([^>\s]*)", token.content)} <= TAGS
        if token.type == "image":
            assert re.fullmatch(r"figures/[\w.-]+", str(token.attrs["src"])), token.attrs
        if token.type == "link_open":
            target = str(token.attrs["href"])
            assert OURS.match(target) or (run / unquote(target)).is_file(), target
    assert not {token.type for token in tokens} & {"s_open", "fence", "code_block", "hr", "blockquote_open"}
    assert not {token.type for token in tokens} & {"ordered_list_open"}
    assert any(token.type == "image" for token in tokens)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "where", ["{}", "| a |\n|---|\n| {} |\n", "- {}", "**{}** x", "*{}*", "### {}", "![{}](a.png)"]
)
def test_a_text_is_shown_as_it_is(text: str, where: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    ours = every(parser.parse(where.format("words")))
    for write, kinds in ((plain, {"text"}), (code, {"code_inline"})):
        if write is code and where != "{}" and not where.startswith("|"):
            continue
        theirs = every(parser.parse(where.format(write(text))))
        assert {t.type for t in theirs} <= {t.type for t in ours} | kinds, text
        shown = "".join(t.content for t in theirs if t.type in kinds)
        if write is plain:
            assert one_line(text).strip() in shown.replace("words", ""), text


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_has_no_tag_of_theirs_and_no_picture_from_outside(run: Path) -> None:
    page = Page()
    text = (run / "report.html").read_text()
    page.feed(text)

    assert b64encode((run.parent / "secret.png").read_bytes()).decode() not in text
    counted = [tag for tag, _ in page.found]
    assert counted.count("script") == counted.count("style") == counted.count("title") == 1
    assert not {"iframe", "object", "embed", "form", "svg", "base"} & set(counted)
    for tag, attrs in page.found:
        assert not [name for name in attrs if name.startswith("on") or name == "style"]
        if tag == "img":
            assert str(attrs["src"]).startswith("data:image/png;base64,")
        elif "href" in attrs and tag == "a":
            target = str(attrs["href"])
            assert OURS.match(target) or (run / unquote(target)).is_file(), target


def test_no_cell_of_a_csv_is_a_formula_and_numbers_stay(run: Path) -> None:
    for path in (run / "results.csv", *(run / "tables").glob("*.csv")):
        rows = list(csv.reader(io.StringIO(path.read_text(), newline="")))
        assert len({len(row) for row in rows}) == 1, path
        for cell in (cell for row in rows for cell in row):
            if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")):
                assert MARK not in cell and re.match(r"[-+][\d.]", cell), cell
    with (run / "results.csv").open(newline="") as file:
        assert {row["value"] for row in csv.DictReader(file)} >= {"50.0"}


def test_no_latex_is_a_command_of_theirs(run: Path) -> None:
    for path in (run / "tables").glob("*.tex"):
        text = path.read_text()
        assert not re.search(r"\\(input|write|evil)|(?<!\\)%|^\s*[\[*]", text, re.MULTILINE), path
        bare = re.sub(r"\\.", "", text)
        assert bare.count("{") == bare.count("}")


def test_nothing_that_is_written_acts_on_a_terminal(run: Path) -> None:
    written = [path for path in run.glob("**/*") if path.suffix in {".md", ".html", ".csv", ".tex"}]
    assert len(written) > 10
    said = [CliRunner().invoke(app, ["list", str(run)]).stdout]
    for text in (*(f"{path}\n{path.read_text()}" for path in written), *said):
        acts = {letter for letter in text if unicodedata.category(letter) == "Cc"} | set("\u202e") & set(text)
        assert acts <= {"\n", "\t", "\r"}, text.partition("\n")[0]


def test_what_is_said_on_the_terminal_has_no_colour_and_no_link() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=4000, color_system="truecolor")
    display = Display(console)
    for text in TEXTS:
        display.say(text)
        display.plan([(PlannedRun(label=as_name(text), task=text, seed=0, key=text), text)])
    said = re.sub(r"\x1b\[(0|1)m", "", console.file.getvalue())  # type: ignore[attr-defined]

    assert "\x1b" not in said and "\x07" not in said and "\u202e" not in said
    assert "[red]evil[/red]" in said


def test_a_kept_report_holds_no_picture_but_ours(run: Path, tmp_path: Path) -> None:
    (tmp_path / "kept" / "figures").mkdir(parents=True)
    (tmp_path / "kept" / "figures" / "of-before.png").touch()
    keep_report(run, tmp_path / "kept")

    assert not (tmp_path / "kept" / "figures" / "of-before.png").exists()
    assert sorted({path.parent.name for path in (tmp_path / "kept").rglob("*.png")}) == ["figures"]
    assert list((tmp_path / "kept").iterdir()) and len(list((tmp_path / "kept").iterdir())) == 2


def test_a_picture_that_is_a_link_to_elsewhere_is_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4), "red").save(secret)
    one = hostile(
        (f"evil {i}" for i in count()),
        "knn",
        status="ok",
        artefacts={"detections": "linked.png", "own": "own.png"},
    )
    path = Store(tmp_path / "run").put(one)
    path.with_name("linked.png").symlink_to(secret)
    Image.new("RGB", (4, 4), "blue").save(path.with_name("own.png"))

    page = write_report(tmp_path / "run").with_suffix(".html").read_text()

    assert b64encode(secret.read_bytes()).decode() not in page
    assert b64encode(path.with_name("own.png").read_bytes()).decode() in page
    assert not list((tmp_path / "run/figures").glob("*linked*"))
