"""The five rows as a run's preset: as committed, small for a rehearsal, or with the epochs that fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.device.cifar10 import dataset
from tools.device.made_with import ROOT
from tools.device.piece import Call

FILE = ROOT / "docs" / "results" / "cifar10-device.yaml"
TINY = {
    "batch": 8,
    "queue": 16,
    "bn_groups": 2,
    "augment": "digits",
    "augment_on": "cpu",
    "precision": "32-true",
    "knn_every": 2,
}
FEW = 32
"""Pictures of a rehearsal."""

Fields = dict[str, Any]


def rows(call: Call) -> Fields:
    """Read the file, with the data set that is here."""
    fields: Fields = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    fields["dataset"] = dataset(call)
    pretrain = fields["pretrain"]
    if call.tiny:
        pretrain["arch"] = "resnet18-w8-s2"
        pretrain["settings"] |= TINY
        fields |= {"limit": FEW, "random_controls": 0, "pixels_control": False}
        fields["set"] = {"linear-cached.epochs": 2, "linear-cached.lrs": [0.1]}
    elif not call.on_gpu:
        pretrain["settings"]["augment_on"] = "cpu"
    return fields


def settings_of(fields: Fields, row: str) -> Fields:
    """Return all settings of one row."""
    return {**fields["pretrain"]["settings"], **fields["pretrain"]["backbones"][row]}


def write_fitted(fields: Fields, epochs: Mapping[str, int], path: Path) -> None:
    """Write the preset with so many epochs of each row."""
    pretrain = fields["pretrain"]
    own = {row: {**settings, "epochs": epochs[row]} for row, settings in pretrain["backbones"].items()}
    fitted = {**fields, "pretrain": {**pretrain, "backbones": own}}
    path.write_text(yaml.safe_dump(fitted, sort_keys=False), encoding="utf-8")
