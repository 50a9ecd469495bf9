"""Made-up results with something to show in every figure, and what was drawn of them."""

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hsa_bench.core.results.result import Budget, Source, TaskResult
from hsa_bench.core.results.store import Store
from reports.figures import Picture
from reports.run_folder.collected import Collected
from reports.run_folder.grid import lay_out
from tests.reports.report_folder import classified, result, write

CONTROL = Source(path="random initialisation 0", format="control")
Draw = Callable[..., Picture | None]
PICTURE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
"""One grey pixel: a kept figure that is no whole picture is drawn again."""


def caught(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is drawn from now on; none is rendered."""
    found: list[Figure] = []

    def savefig(figure: Figure, file: Any, **_: Any) -> None:
        found.append(figure)
        file.write(PICTURE)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found


def draw(one: Draw, out: Path, *results: TaskResult, baseline: str = "moco") -> Picture | None:
    collected = Collected(out, None, results, (), ())
    return one(collected, lay_out(collected), baseline, ["random"], out / "report.md")


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_visible()]


def lines(ax: Axes) -> dict[str, Line2D]:
    """The backbones' lines, by row."""
    return {
        str(line.get_label()): line for line in ax.get_lines() if not str(line.get_label()).startswith("_")
    }


def points(line: Line2D) -> list[list[float]]:
    """[x, y] of each point."""
    return np.round(np.asarray(line.get_xydata()), 4).tolist()  # type: ignore[no-any-return]


def ringed(ax: Axes) -> list[list[float]]:
    """Points that have a ring around them."""
    return [p for line in ax.get_lines() if line.get_markerfacecolor() == "none" for p in points(line)]


def knn(label: str, top1: float, **changed: Any) -> TaskResult:
    grid = {f"k {k}, T {t:g}": top1 - k / 10 - t for k in (1, 20, 200) for t in (0.02, 0.07)}
    facts: dict[str, Any] = {
        "metrics": {"top1": top1},
        "settings": {"k": 20, "temperature": 0.07},
        "effective": {"k": 20, "test_top1_by_k_and_T": grid},
    }
    return result(label, "knn", **{**facts, **changed})


def linear(label: str, top1: float, **changed: Any) -> TaskResult:
    held_out = {f"lr {lr:g}, wd {wd:g}": top1 + lr - wd for lr in (10.0, 0.1, 1.0) for wd in (0.0, 1e-6)}
    facts: dict[str, Any] = {
        "metrics": {"top1": top1},
        "settings": {"epochs": 3, "weight_decay": 0.5},
        "effective": {"lr": 1.0, "weight_decay": 1e-6, "held_out_top1": held_out},
        "curves": {"train_loss": [3.0, 2.0, 1.0], "published_top1": [10.0, 20.0, top1]},
    }
    return result(label, "linear", **{**facts, **changed})


def with_map(out: Path, one: TaskResult, label: np.ndarray, classes: int) -> TaskResult:
    """A result that left a map of its features."""
    one = one.model_copy(update={"artefacts": {"embedding": f"{one.spec.key}-embedding.npz"}})
    path = Store(out).path(one.label, one.spec.task, one.spec.key).with_suffix("")
    path.parent.mkdir(parents=True, exist_ok=True)
    xy = np.random.default_rng(0).standard_normal((len(label), 2)).astype(np.float32)
    names, example = np.array([f"class {c}" for c in range(classes)]), np.array([str(i) for i in label])
    kept = {"xy": xy, "label": label, "classes": names, "example": example}
    np.savez(path.with_name(f"{path.name}-embedding.npz"), method=np.array("t-SNE of 9 test images"), **kept)
    return one


def lowshot(label: str, top1: float, **changed: Any) -> TaskResult:
    """Two numbers of images per class, five draws of each."""
    curves = {f"draws/{name}": [top1 + i for i in range(5)] for name in ("logistic", "logistic_k1")}
    curves["draws/logistic_k8"] = [top1 + 10 + 2 * i for i in range(5)]
    metrics = {"logistic": top1 + 2, "logistic_k1": top1 + 2, "logistic_k8": top1 + 14}
    facts: dict[str, Any] = {"metrics": metrics, "curves": curves, "main_metric": "logistic", "seeded": False}
    return result(label, "lowshot", **{**facts, **changed})


def geometry(label: str, nmi: float, **changed: Any) -> TaskResult:
    facts: dict[str, Any] = {
        "metrics": {"nmi": nmi, "alignment": nmi / 100, "uniformity": -nmi / 25},
        "curves": {"spectrum": [1.0, 0.1, 1e-9]},
        "main_metric": "nmi",
        "diagnostic": True,
        "seeded": False,
    }
    return result(label, "geometry", **{**facts, **changed})


def pretrained(label: str, knn: list[float], **changed: Any) -> TaskResult:
    """A pretraining that looked at its features after every second epoch."""
    facts: dict[str, Any] = {
        "metrics": {"loss": 1.0},
        "curves": {"loss": [2.0, 1.0], "knn": knn},
        "settings": {"epochs": 2 * len(knn), "knn_every": 2},
    }
    return result(label, "pretrain", **{**facts, **changed})


def costing(label: str, flops: float, seconds: float = 1) -> Source:
    """Where a backbone comes from whose pretraining cost this."""
    spent = Budget(
        method="moco", dataset="digits", epochs=1, images=1, views=2, seconds=seconds, seed=0, flops=flops
    )
    return Source(path=f"{label}.pth", format="hsa_bench", budget=spent)


def whole_run(out: Path) -> list[TaskResult]:
    """Three backbones with something to show in every figure."""
    found = []
    for label, strength in (("hsa", 0.7), ("moco", 0.6), ("random", 0.2)):
        own: dict[str, Any] = {"source": CONTROL if label == "random" else costing(label, 1e15)}
        right = np.random.default_rng(1).random(100) < strength
        found.append(write(out, linear(label, float(right.mean() * 100), **own), classified(right)))
        found.append(with_map(out, knn(label, 60 * strength, **own), np.arange(60) % 3, 3))
        layers = {f"{layer}/top1": 50 * strength for layer in ("stem", "stage1", "stage2")}
        found += [
            result(label, f"semisup-{n}", metrics={"top1": n * strength, **layers}, **own) for n in (1, 10)
        ]
        found += [
            result(
                label, f"transfer-{name}", metrics={"top1": 80 * strength, "knn_top1": 70 * strength}, **own
            )
            for name in ("cifar10", "dtd")
        ]
        found += [lowshot(label, 40 * strength, **own), geometry(label, 30 * strength, **own)]
        found.append(pretrained(label, [2.0, 1.0], **own))
    return found
