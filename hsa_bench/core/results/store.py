"""Result files on disk: `results/<backbone>/<task>/<key>.json`, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hsa_bench.core.errors import UnreadableResult
from hsa_bench.core.files import write_text
from hsa_bench.core.results import schema2
from hsa_bench.core.results.result import SCHEMA, PlanFile, TaskResult


def read_result(path: Path) -> TaskResult:
    """Read one result file; one of schema 1 or 2 becomes a record of this one.

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
        if isinstance(found, int) and found <= schema2.LAST:
            payload = schema2.upgraded(payload)
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
