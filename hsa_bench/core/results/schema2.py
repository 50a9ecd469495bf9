"""Results of schema 1 and 2, whose metrics were bare names, as records of schema 3. Frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from hsa_bench.core.results.curve import Along, Curve, Sweep
from hsa_bench.core.results.metric import (
    Better,
    Metric,
    mean_per_class,
    number,
    percent,
    precision,
    top1,
    top5,
)

LAST = 2
"""The last schema whose metrics were bare names."""

MEANINGS = {
    "logistic": "the top-1 of a logistic regression, averaged over several small numbers of images per class",
    "svm": "the top-1 of linear SVMs, averaged over several small numbers of images per class",
    "mAP": "the average precision of each class of image, averaged over classes",
    "oracle_mAP": "the average precision of each class of image, averaged over classes, with penalties "
    "chosen on the test images, as its paper does",
    "nmi": "how much k-means clusters and classes tell of each other",
    "alignment": "the mean squared distance of two views of one picture",
    "uniformity": "the log of the mean potential of all pairs",
}
TITLES = {
    "logistic": "logistic regression",
    "svm": "linear SVM",
    "mAP": "mAP",
    "oracle_mAP": "oracle mAP",
    "oracle": "oracle top-1",
    "published_last": "published top-1, last epoch",
    "published_best": "published top-1, best epoch",
    "chosen_top1": "chosen top-1",
    "knn": "kNN top-1",
}
"""Of percentages."""

NUMBERS: dict[str, tuple[str, str, Better]] = {
    "alignment": ("alignment", "", "lower"),
    "uniformity": ("uniformity", "", "lower"),
    "rankme": ("RankMe", "", ""),
    "effective_rank": ("effective rank", "", ""),
    "nmi": ("NMI", "%", ""),
    "ari": ("ARI", "%", ""),
    "purity": ("purity", "%", ""),
    "learning rate": ("learning rate", "", ""),
    "spread": ("spread", "", ""),
    "rank": ("effective rank", "", ""),
}
"""Title, unit and direction of the diagnostics."""

PLANE: dict[str, str] = {"alignment": "x", "uniformity": "y"}

LAYER = re.compile(r"(stem|stage\d+|block\d+)/(.+)")
SHOTS = re.compile(r"(.+)_k(\d+)")
PRECISION = re.compile(r"(bbox|segm)/AP\w*")
VOTE = re.compile(r"knn_(top1|mean_per_class)")

DRAWS = "draws/"
"""Began the names of curves that were a metric's values at each draw."""

WATCHED = {
    "purity": "how many of the mined neighbours are of the same class, which training does not know",
    "spread": "of the features; towards 0 they have collapsed",
    "rank": "of the features; towards 1 they have collapsed",
    "knn": "accuracy on a fixed tenth of the training images, by the labels of the others",
}
CURVES = {"train_loss": ("training loss", "nats"), "published_top1": ("published top-1", "%")}
LENGTHS: dict[str, Along] = {"epochs": "epoch", "steps": "step", "iterations": "iteration"}

NEIGHBOURS, HEADS = "test_top1_by_k_and_T", "held_out_top1"
K_AND_T, RATE_AND_DECAY = re.compile(r"k (\S+), T (\S+)"), re.compile(r"lr (\S+), wd (\S+)")
SEEN = "test_images_in_pretraining"


class _Old(BaseModel):
    """What of an old record has another form now."""

    schema_version: int = LAST
    metrics: dict[str, float] = Field(default_factory=dict)
    curves: dict[str, list[float]] = Field(default_factory=dict)
    effective: dict[str, Any] = Field(default_factory=dict)
    diagnostic: bool = False
    spec: dict[str, Any] = Field(default_factory=dict)


def upgraded(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the metrics of an old record; every value stays.

    Args:
        payload: The content of a file of schema 1 or 2.

    Raises:
        ValidationError: It is not such a record.
    """
    old = _Old.model_validate(payload)
    settings = old.spec.get("settings") or {}
    pretraining = old.spec.get("task") == "pretrain"
    metrics = [_ranked(described(name, value), old.diagnostic) for name, value in old.metrics.items()]
    draws = {n.removeprefix(DRAWS): tuple(v) for n, v in old.curves.items() if n.startswith(DRAWS)}
    effective = dict(old.effective)
    sweeps = tuple(_sweeps(effective, settings))
    overlap = _overlap(effective.pop(SEEN, ""))
    return {
        **payload,
        "schema_version": LAST + 1,
        "metrics": tuple(m.drawn(draws[m.name]) if m.name in draws else m for m in metrics),
        "curves": tuple(
            _pretraining(name, values, settings) if pretraining else _curve(name, values, settings)
            for name, values in old.curves.items()
            if not name.startswith(DRAWS)
        ),
        "sweeps": sweeps,
        "effective": effective,
        **({"overlap": overlap} if overlap else {}),
        **({"changed": None} if old.schema_version < LAST else {}),
    }


def described(name: str, value: float) -> Metric:
    """Say what a metric of schema 2 was: percent of which more is better, unless its name said otherwise."""
    if layer := LAYER.fullmatch(name):
        return described(layer[2], value).at_layer(layer[1])
    if shots := SHOTS.fullmatch(name):
        return described(shots[1], value).from_shots(int(shots[2]))
    if vote := VOTE.fullmatch(name):
        return described(vote[1], value).voted()
    if PRECISION.fullmatch(name):
        return precision(name, value)
    if known := {"top1": top1, "top5": top5, "mean_per_class": mean_per_class}.get(name):
        return known(value)
    if name in NUMBERS:
        found = number(name, value, *NUMBERS[name])
        return found.model_copy(update={"plane": PLANE.get(name, ""), "meaning": MEANINGS.get(name, "")})
    if name.startswith("loss"):
        return number(name, value, _words(name))
    found = percent(name, value, TITLES.get(name, _words(name)), MEANINGS.get(name, ""))
    return found.model_copy(update={"recompute": "bbox/AP50"}) if name == "mAP" else found


def _ranked(metric: Metric, diagnostic: bool) -> Metric:
    """Without a direction, where the result describes and its name was not known."""
    free = diagnostic and metric.name not in NUMBERS
    return metric.model_copy(update={"better": ""}) if free else metric


def _words(name: str) -> str:
    return name.replace("/", ", ").replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")


def _curve(name: str, values: list[float], settings: Mapping[str, Any]) -> Curve:
    title, unit = CURVES.get(name, (_words(name), ""))
    if name == "spectrum":
        return Curve(name=name, title="singular values", values=tuple(values), along="place")
    length = next((n for n in LENGTHS if settings.get(n) == len(values)), "")
    if not length and len(values) < (settings.get("iterations") or 0):
        length = "iterations"  # means of equal parts
    at: tuple[float, ...] = ()
    if length and settings[length] != len(values):
        at = tuple(i * settings[length] / len(values) for i in range(1, len(values) + 1))
    along = LENGTHS[length] if length else ""
    return Curve(name=name, title=title, unit=unit, values=tuple(values), along=along, at=at)


def _pretraining(name: str, values: list[float], settings: Mapping[str, Any]) -> Curve:
    shown = described(name, 0.0)
    epochs = _epochs(len(values), settings)
    return Curve(
        name=name,
        title=shown.title,
        unit=shown.unit,
        meaning=WATCHED.get(name, ""),
        values=tuple(values),
        along="epoch" if epochs else "",
        at=() if epochs == tuple(range(1, len(values) + 1)) else epochs,
        better="higher" if name == "knn" else "",
        detail=name.count("/") > 1 or name == "learning rate",
    )


def _epochs(points: int, settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Epochs after which a pretraining noted each point; empty where its settings do not tell."""
    every, epochs = settings.get("knn_every") or 0, settings.get("epochs") or 0
    if points == epochs:
        return tuple(range(1, epochs + 1))
    looks = tuple(e for e in range(1, epochs + 1) if e % every == 0 or e == epochs) if every else ()
    return looks if len(looks) == points else ()


def _sweeps(effective: dict[str, Any], settings: Mapping[str, Any]) -> list[Sweep]:
    """Take the grids out of what was decided; pairs of fine-tuning's rates stay there."""
    sweeps = []
    if effective.get(NEIGHBOURS) and "k" in effective and "temperature" in settings:
        own = float(effective["k"]), float(settings["temperature"])
        sweeps.append(_neighbours(_points(effective.pop(NEIGHBOURS), K_AND_T), own))
    if effective.get(HEADS) and {"lr", "weight_decay"} <= effective.keys():
        own = float(effective["lr"]), float(effective["weight_decay"])
        sweeps.append(_heads(_points(effective.pop(HEADS), RATE_AND_DECAY), own))
    return [sweep for sweep in sweeps if sweep.points]


def _points(recorded: Mapping[str, float], name: re.Pattern[str]) -> tuple[tuple[float, ...], ...]:
    """Settings and what they gave; names of another form are left out."""
    matches = ((name.fullmatch(text), float(value)) for text, value in recorded.items())
    return tuple((float(match[1]), float(match[2]), value) for match, value in matches if match)


def _overlap(text: str) -> dict[str, int]:
    match = re.fullmatch(r"([\d,]+) of ([\d,]+)", text)
    return {n: int(match[i].replace(",", "")) for i, n in ((1, "shared"), (2, "tested"))} if match else {}


def _neighbours(points: tuple[tuple[float, ...], ...], own: tuple[float, float]) -> Sweep:
    """Return the sweep of kNN's k and T on the test images."""
    return Sweep(
        name="test_top1_by_k_and_T",
        title="top-1",
        unit="%",
        meaning="on test images, the other of k and T being the recipe's",
        settings=("neighbours k", "temperature T"),
        points=points,
        own=own,
        chosen=False,
    )


def _heads(points: tuple[tuple[float, ...], ...], own: tuple[float, float]) -> Sweep:
    """Return the sweep of a linear classifier's learning rate and weight decay on held-out images."""
    return Sweep(
        name="held_out_top1",
        title="held-out top-1",
        unit="%",
        meaning="on the training images that were kept back to choose it, at the chosen weight decay",
        settings=("learning rate", "weight decay"),
        points=points,
        own=own,
        chosen=True,
    )
