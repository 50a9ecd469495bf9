"""Published numbers, each with its source; never averaged with measured ones (published.csv)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.results.result import TaskResult

PUBLISHED = Path(__file__).with_name("published.csv")

UNCONFIRMED = ("W-MSE 2",)
"""Methods that the field cites and of which no number could be confirmed, so that none stands here."""

KNOWN_FILES = {
    "b251726a": "moco-v1-200",
    "59fd9945": "moco-v2-200",
    "a04e12f8": "moco-v2-800",
    "0676ba61": "supervised",
}
"""Claims of files by the first digits of their hash: MD5 (README of facebookresearch/moco @5670021), SHA-256
(torchvision names its files by it: resnet50-0676ba61.pth)."""


@dataclass(frozen=True)
class Entry:
    """One published number. Empty text: not confirmed, or does not apply."""

    method: str
    architecture: str
    epochs: str
    """Of pretraining."""
    multi_crop: str
    """"yes" or "no"."""
    dataset: str
    """What was evaluated on."""
    task: str
    """Family: linear, knn, semisup-1, voc …."""
    recipe: str
    """The protocol in a few words."""
    ours: str
    """Our task of the same protocol."""
    metric: str
    value: str
    """Percent, as printed."""
    std: str
    std_of: str
    """What the standard deviation is over."""
    paper: str
    """arXiv id of the paper that prints the number."""
    table: str
    confirmed: str
    """How it was confirmed."""
    note: str

    @property
    def claim(self) -> str:
        """Name of the pretraining, as `--claim` takes it: moco-v2-200, swav-800-mc."""
        words = re.sub(r"[^a-z0-9]+", "-", self.method.lower()).strip("-")
        crops = "-mc" if self.multi_crop == "yes" else ""
        return "-".join(part for part in (words, self.epochs) if part) + crops

    @property
    def reproduced(self) -> bool:
        """Whether somebody other than the method's authors pretrained."""
        return bool(re.search(r"reproduction|re-run|symmetric", self.recipe))

    @property
    def source(self) -> str:
        """Paper and table, in Markdown."""
        paper = f"[{self.paper}](https://arxiv.org/abs/{self.paper})" if self.paper else ""
        return ", ".join(part for part in (paper, self.table) if part)


@cache
def entries() -> tuple[Entry, ...]:
    """The rows of published.csv.

    Raises:
        UsageError: The file has other columns.
    """
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if list(rows.fieldnames or ()) != (wanted := [field.name for field in fields(Entry)]):
            raise UsageError(f"{PUBLISHED}: needs the columns {', '.join(wanted)}")
        return tuple(Entry(**row) for row in rows)


@cache
def published_of() -> dict[str, list[Entry]]:
    """What of our tasks is published of each pretraining, by the name that `--claim` takes.

    Numbers of pretrainings that others repeated are left out: they are of other weights.
    """
    found: dict[str, list[Entry]] = {}
    for entry in entries():
        if entry.ours and not entry.reproduced:
            found.setdefault(entry.claim, []).append(entry)
    return found


def parse_claims(texts: Iterable[str]) -> dict[str, str]:
    """`NAME=claim`, or a claim alone where there is a single backbone, which stands under "".

    Raises:
        UsageError: No such claim; the message names near ones.
    """
    found = {}
    for text in texts:
        label, named, claim = text.rpartition("=")
        if claim not in published_of():
            hint = did_you_mean(claim, sorted(published_of()))
            raise UsageError(f"--claim {text}: nothing is published of {claim}; {hint}")
        found[label if named else ""] = claim
    return found


def incomparable(entry: Entry, result: TaskResult) -> str:
    """Why a published number may not stand beside a measured one; empty if it may."""
    spec = result.spec
    if entry.dataset != dataset_of(result):
        return f"other data set ({entry.dataset})"
    if entry.architecture != architecture_of(spec.backbone.arch):
        return f"other architecture ({entry.architecture})"
    if entry.ours != spec.task:
        return "other recipe"
    if spec.limit is not None:
        return "our run was limited"
    if result.changed is None:
        return "our file is too old to say whether settings were changed"
    if result.changed or spec.settings.get("budget", "published") != "published":
        return f"our settings differ ({', '.join(result.changed) or 'budget'})"
    return ""


def measured(entry: Entry, result: TaskResult) -> float | None:
    """The number of ours that was made as the published one was; None if the run has none.

    A linear recipe's paper prints the last epoch's accuracy, or that of the best epoch on test, at the
    recipe's own rate: the result says which, and has it beside `top1`.
    """
    name = str(result.effective.get("paper_prints", entry.metric)) if entry.metric == "top1" else entry.metric
    return result.values.get(name)


def dataset_of(result: TaskResult) -> str:
    """The data set in the words of published.csv."""
    name = result.spec.data.name
    usual = result.spec.settings.get("train"), result.spec.settings.get("test")
    if name == "VOCdevkit" and usual == (["VOC2007/trainval", "VOC2012/trainval"], "VOC2007/test"):
        return "voc07+12"
    return name


def architecture_of(arch: str) -> str:
    """An architecture in the words of published.csv."""
    if found := re.fullmatch(r"resnet(\d+)(-cifar)?", arch):
        return f"ResNet-{found[1]}" + (" (3x3 stem, no max-pool)" if found[2] else "")
    return arch


def named_claims(claims: Mapping[str, str], backbones: Sequence[str]) -> dict[str, str]:
    """Claims by backbone; one without a name is of the only backbone there is.

    Raises:
        UsageError: No such backbone, or several that a claim without a name could be of.
    """
    found = {}
    for label, claim in claims.items():
        if not backbones:
            raise UsageError(f"--claim {label}={claim}: no backbone is in this run; leave it out")
        if not label and len(backbones) != 1:
            raise UsageError(f"--claim {claim}: say whose it is, for example --claim {backbones[0]}={claim}")
        if label and label not in backbones:
            raise UsageError(f"--claim {label}={claim}: no such backbone; there are {', '.join(backbones)}")
        found[label or backbones[0]] = claim
    return found


def by_file(results: Sequence[TaskResult], claimed: Mapping[str, str]) -> dict[str, str]:
    """The claim of each backbone: as stated by the user, or known from the hash of all its files."""
    known: dict[str, set[str]] = {}
    for result in results:
        hashes = result.source.md5[:8], result.source.sha256[:8]
        claim = next((KNOWN_FILES[start] for start in hashes if start in KNOWN_FILES), "")
        known.setdefault(result.label, set()).add(claim)
    alone = {label: min(found) for label, found in known.items() if len(found) == 1 and min(found)}
    return {**alone, **claimed}
