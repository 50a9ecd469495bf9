"""Result files on disk: `results/<backbone>/<task>/<key>.json`, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from hsa_bench.core.result import SCHEMA, PlanFile, TaskResult


class UnreadableResult(ValueError):
    """A file in the results folder that is not a result of this or an older schema."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of `path` only when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(handle, 0o666 & ~_umask())  # mkstemp's files are for their owner alone
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


def read_result(path: Path) -> TaskResult:
    """Read one result file.

    Raises:
        UnreadableResult: Broken, foreign or written by a newer version; the message names the file.
    """
    try:
        payload = json.loads(path.read_bytes())
        found = payload.get("schema_version") if isinstance(payload, dict) else None
        if isinstance(found, int) and found > SCHEMA:
            raise UnreadableResult(
                f"{path}: written with result schema {found}, this version reads up to {SCHEMA}; "
                "update hsa_bench"
            )
        return TaskResult.model_validate(payload)
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise UnreadableResult(f"{path}: not a result file of hsa_bench ({first})") from error


@dataclass(frozen=True)
class Store:
    """The results of one output folder."""

    out: Path

    @property
    def results(self) -> Path:
        """Folder that holds the result files."""
        return self.out / "results"

    def path(self, label: str, task: str, key: str) -> Path:
        """Where the result of a cell stands, or will stand."""
        return self.results / label / task / f"{key}.json"

    def get(self, label: str, task: str, key: str) -> TaskResult | None:
        """The result of a cell, or None if the run has not ended yet."""
        path = self.path(label, task, key)
        return read_result(path) if path.exists() else None

    def put(self, result: TaskResult) -> Path:
        """Write a result. Files it names must already be in place."""
        path = self.path(result.label, result.spec.task, result.spec.key)
        write_text(path, result.model_dump_json(indent=1))
        return path

    def paths(self) -> list[Path]:
        """Every result file, in a stable order."""
        return sorted(self.results.glob("*/*/*.json"))

    def write_plan(self, plan: PlanFile) -> None:
        """Leave the plan for the report."""
        write_text(self.out / "plan.json", plan.model_dump_json(indent=1))

    def read_plan(self) -> PlanFile | None:
        """The plan of the last run, or None where results came from elsewhere."""
        path = self.out / "plan.json"
        return PlanFile.model_validate_json(path.read_bytes()) if path.exists() else None
