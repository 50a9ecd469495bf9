"""How far a training is, and the file from which it goes on after a stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hsa_bench.core import files
from hsa_bench.core.errors import DamagedResume, PretrainingError, Unwritable
from hsa_bench.core.files import whole_file
from hsa_bench.core.results.sound import first_line
from pretrain.older_files import UNSTATED, VERSION, as_now
from pretrain.positives import Neighbours

UNTOLD = frozenset({"arch", "card"})
"""Of what a resume file must agree on: what older ones do not state. Strides of an architecture show in no
tensor, and the card says how pixels are normalised."""


@dataclass
class Progress:
    """What a resumed training continues from besides weights and optimiser."""

    epoch: int = 0
    """Epochs that are over."""
    seconds: float = 0.0
    flops: float = 0.0
    """Multiplications and additions so far, mining included."""
    step_flops: float = 0.0
    """Of one step on all processes, measured on the first of the latest epoch."""
    views: float = 0.0
    """Views an image, summed over epochs."""
    neighbours: Neighbours | None = None
    pixels: float | None = None
    """Purity of bare pixels' neighbours, percent; measured once, where there are classes."""
    ended: bool = False
    """Whether it has what it was to last for, before the last epoch that it may take."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Figures by name, one for each epoch or look."""
    warnings: list[str] = field(default_factory=list)

    @property
    def latest(self) -> str:
        """List the newest point of every curve, but for the parts of a loss."""
        shown = {name: curve[-1] for name, curve in self.curves.items() if "/" not in name}
        return ", ".join(f"{name} {value:.4g}" for name, value in shown.items())

    def note(self, name: str, value: float) -> None:
        """Add a point to a curve."""
        self.curves.setdefault(name, []).append(value)


def check_writable(path: Path) -> None:
    """Refuse a place where nothing can be written, before the first epoch rather than after it.

    Raises:
        PretrainingError: With the reason.
    """
    try:
        files.check_writable(path.parent)
    except Unwritable as error:
        raise PretrainingError(
            f"{path.parent}: cannot be written to ({error}); or choose another --out"
        ) from error
    files.sweep(path.parent, path.name)


@dataclass(frozen=True)
class State:
    """What stands in a resume file."""

    identity: Mapping[str, Any]
    method: Mapping[str, Any]
    optimiser: dict[str, Any]
    progress: Progress


def read_state(path: Path, device: str) -> State:
    """Read a resume file.

    Raises:
        DamagedResume: It is cut off or written over.
        PretrainingError: It is whole, and not of this version.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # such a file can raise anything
        raise DamagedResume(f"{path}: is damaged ({first_line(error)})") from error
    try:
        table = state["neighbours"]
        progress = Progress(**state["progress"], neighbours=None if table is None else table.cpu().numpy())
        stated = {"version": UNSTATED, **state["identity"]}
        identity = {**stated, "settings": as_now(stated["settings"])}
        return State(identity, state["method"], state["optimiser"], progress)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PretrainingError(
            f"{path}: is no resume file of this version ({first_line(error)}); remove it to start anew"
        ) from error


@dataclass(frozen=True)
class Resumable:
    """Everything that must be as it was."""

    method: nn.Module
    optimiser: Any
    """A torch optimiser, or Fabric's wrapper of one."""
    identity: Mapping[str, Any]
    """What a resume file must agree on: settings, weights and their architecture and card,
    data, view, seed; pretraining's version too."""

    def save(self, path: Path, progress: Progress) -> None:
        """Write the file whole or leave the one that is there.

        Raises:
            PretrainingError: It could not be written, for example because the disk is full.
        """
        plain = {**vars(progress)}
        neighbours = plain.pop("neighbours")
        state = {
            "identity": dict(self.identity),
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": plain,
            "neighbours": None if neighbours is None else torch.from_numpy(neighbours),
        }
        try:
            with whole_file(path) as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:
            last = "the one of the epoch before stands" if path.exists() else "there is none yet"
            raise PretrainingError(
                f"{path}: the checkpoint of epoch {progress.epoch} could not be written ({error}); {last}. "
                "Make room and run the same command again"
            ) from error

    def take_up(self, state: State, path: Path, mended: bool = False) -> Progress:
        """Take everything back; what another version of pretraining began goes on, and is noted.

        Args:
            state: What stands in the file.
            path: The file.
            mended: Whether what differs of the data could not be read then.

        Raises:
            PretrainingError: The file belongs to another training.
        """
        apart = {"version", "data"} if mended else {"version"}
        apart |= {name for name in UNTOLD if name not in state.identity}
        expected = {name: value for name, value in self.identity.items() if name not in apart}
        if differences := _differences(state.identity, expected):
            raise PretrainingError(
                f"{path}: belongs to a training with other {', '.join(differences)}; "
                "remove it to start anew, or use another --out"
            )
        try:
            self.method.load_state_dict(state.method)
            self.optimiser.load_state_dict(state.optimiser)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise PretrainingError(
                f"{path}: its tensors are not this training's ({first_line(error)}); remove it to start anew"
            ) from error
        progress, began_by = state.progress, state.identity["version"]
        if began_by != VERSION and progress.epoch:
            progress.warnings.append(
                f"epochs 1 to {progress.epoch} are by version {began_by} of pretraining, the others by "
                f"version {VERSION}, which trains otherwise"
            )
        return progress


def _differences(identity: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Name what differs, settings with both values."""
    differences = []
    for name, value in expected.items():
        theirs = identity.get(name)
        if isinstance(value, Mapping) and isinstance(theirs, Mapping):
            differences += [
                f"{field} ({theirs.get(field)}, now {value.get(field)})"
                for field in sorted({*value, *theirs})
                if theirs.get(field) != value.get(field)
            ]
        elif theirs != value:
            differences.append(name)
    return differences
