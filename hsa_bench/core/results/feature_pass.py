"""What a feature pass took: several backbones on one stream of pictures, outside of any run's seconds."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from hsa_bench.core.digest import digest_of
from hsa_bench.core.errors import UnreadableResult
from hsa_bench.core.files import write_text
from hsa_bench.core.input.label import folder_fault
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.sound import read_json

PASSES = "passes"
"""Folder of the records, below a run's."""

WHAT = "a record of a feature pass"


class SharedFeatures(Record):
    """A pass that has ended: `passes/<key>.json`."""

    key: str
    """Of the pass as it was planned: data, view and backbones."""
    backbones: tuple[str, ...]
    """Names of those whose features it made."""
    left_out: tuple[str, ...] = ()
    """Names of those that failed in it; their runs computed their features alone."""
    data: str
    view: str
    """What was seen of the pictures, in words."""
    images: int = Field(ge=0)
    """Pictures decoded, in all rounds."""
    rounds: int = Field(default=1, ge=0)
    """Times that pictures were decoded, as not all backbones fit into memory at once."""
    seconds: float = Field(ge=0)
    device: str
    started: str
    """ISO 8601, UTC."""

    def save(self, out: Path) -> Path:
        """Write it below a run folder."""
        path = out / PASSES / f"{self.key}.json"
        write_text(path, self.model_dump_json(indent=1))
        return path


def shared_features(out: Path) -> tuple[list[SharedFeatures], list[str]]:
    """Read the records of a run folder.

    Returns:
        Those that can be read, by when they started, and why others cannot.
    """
    found, faults = [], []
    for path in sorted((out / PASSES).glob("*.json")):
        try:
            record = SharedFeatures.model_validate(read_json(path, WHAT))
            if folder_fault(record.key) or record.key != path.stem:
                raise UnreadableResult(f"{path}: not {WHAT} (it is of another)")
            found.append(record)
        except ValidationError:
            faults.append(f"{path}: not {WHAT} of this version")
        except UnreadableResult as error:
            faults.append(str(error))
    return sorted(found, key=lambda one: one.started), faults


def pass_key(*parts: str) -> str:
    """16 hex digits for what a pass is of."""
    return digest_of(parts)
