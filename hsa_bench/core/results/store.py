"""Result files on disk: `results/<backbone>/<task>/<key>.json`, whole or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hsa_bench.core.errors import NewerResult, UnreadableResult, UsageError
from hsa_bench.core.files import set_aside, write_text
from hsa_bench.core.input.label import folder_fault, shown
from hsa_bench.core.results import schema2
from hsa_bench.core.results.plan_file import PlanFile
from hsa_bench.core.results.result import SCHEMA, TaskResult
from hsa_bench.core.results.sound import first_line, read_json

RESULT, PLAN = "a result file of hsa_bench", "a plan of this version"


def read_result(path: Path) -> TaskResult:
    """Read one result file; one of schema 1 or 2 becomes a record of this one.

    Raises:
        NewerResult: Written by a newer version.
        UnreadableResult: Broken or foreign; the message names the file.
    """
    payload = read_json(path, RESULT)
    found = payload.get("schema_version") if isinstance(payload, dict) else None
    if isinstance(found, int) and found > SCHEMA:
        raise NewerResult(
            f"{path}: written with result schema {found}, this version reads up to {SCHEMA}; update hsa_bench"
        )
    try:
        if isinstance(found, int) and found <= schema2.LAST:
            payload = schema2.upgraded(payload)
        result = TaskResult.model_validate(payload)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        said = _validation(error) if isinstance(error, ValidationError) else first_line(error)
        raise UnreadableResult(f"{path}: not {RESULT} ({said})") from error
    if result.status == "ok" and not math.isfinite(result.values.get(result.main_metric, math.nan)):
        raise UnreadableResult(f"{path}: says ok, but has no number for its main metric {result.main_metric}")
    return result


@dataclass(frozen=True)
class Store:
    """The results of one output folder."""

    out: Path

    @property
    def results(self) -> Path:
        """Folder that holds the result files."""
        return self.out / "results"

    def path(self, label: str, task: str, key: str) -> Path:
        """Where the result of a cell stands, or will stand.

        Raises:
            UsageError: A name would lead out of the results folder.
        """
        for name in (label, task, key):
            if fault := folder_fault(name):
                raise UsageError(f"the name {shown(name)} {fault}")
        return self.results / label / task / f"{key}.json"

    def artefact(self, result: TaskResult, name: str) -> Path | None:
        """Where a file beside a result stands, or should; None where the result tells of none.

        A path that the result gives it is not followed: the file lies beside it.
        """
        place = self.path(result.label, result.spec.task, result.spec.key)
        file = result.artefacts.get(name)
        return place.with_name(Path(file).name) if file else None

    def get(self, label: str, task: str, key: str) -> TaskResult | None:
        """The result of a cell; None if the run has not ended yet, or what stands there is none of it.

        Raises:
            NewerResult: It was written by a newer version.
        """
        path = self.path(label, task, key)
        try:
            return self.read(path) if path.exists() else None
        except NewerResult:
            raise
        except UnreadableResult:
            return None

    def read(self, path: Path) -> TaskResult:
        """Read a result of this folder, by one of `paths`.

        Raises:
            UnreadableResult: Broken, foreign, newer, or a result that belongs elsewhere; names the file.
        """
        result = read_result(path)
        try:
            belongs = self.path(result.label, result.spec.task, result.spec.key)
        except UsageError as error:
            raise UnreadableResult(f"{path}: {error}") from error
        if path != belongs:
            place = "/".join(belongs.parts[-3:])
            raise UnreadableResult(f"{path}: its content belongs to {place}; copied or edited")
        return result

    def put(self, result: TaskResult) -> Path:
        """Write a result. Files it names must already be in place.

        Nothing is lost by it: where a number is on file, a run without one leaves it alone, and what is no
        result is set aside.
        """
        path = self.path(result.label, result.spec.task, result.spec.key)
        self.set_aside(path)
        if not self._spares(result):
            write_text(path, result.model_dump_json(indent=1))
        return path

    def settle(self, result: TaskResult) -> TaskResult:
        """Write a result as `put` does; a failure that left a number alone says so."""
        spared = self._spares(result)
        self.put(result)
        if not spared or result.failure is None:
            return result
        message = f"{result.failure.message}; the number on file stays"
        return result.model_copy(update={"failure": result.failure.model_copy(update={"message": message})})

    def set_aside(self, path: Path) -> str:
        """Rename what stands where a result should and is none; it is neither deleted nor written over.

        Returns:
            A sentence that says so; empty where nothing was in the way.

        Raises:
            NewerResult: A result of a newer version stands there.
            OSError: It cannot be renamed.
        """
        fault = self.fault(path)
        if fault:
            return f"{fault}; set aside as {set_aside(path).name}, and the run counts as not done"
        return ""

    def fault(self, path: Path) -> str:
        """Why what stands at a result's place is none; empty where it is one, or nothing stands there.

        Raises:
            NewerResult: It is a result of a newer version.
        """
        try:
            if path.exists():
                self.read(path)
        except NewerResult:
            raise
        except UnreadableResult as error:
            return str(error)
        return ""

    def _spares(self, result: TaskResult) -> bool:
        """Whether a number is on file that this result, which has none, must not replace."""
        if result.status == "ok":
            return False
        there = self.get(result.label, result.spec.task, result.spec.key)
        return there is not None and there.status == "ok"

    def paths(self) -> list[Path]:
        """Every result file, in a stable order."""
        return sorted(self.results.glob("*/*/*.json"))

    def write_plan(self, plan: PlanFile) -> None:
        """Leave the plan for the report."""
        write_text(self.out / "plan.json", plan.model_dump_json(indent=1))

    def read_plan(self) -> PlanFile | None:
        """The plan of the last run, or None where results came from elsewhere.

        Raises:
            UnreadableResult: Broken, foreign or of a newer version; the message names the file.
        """
        path = self.out / "plan.json"
        if not path.exists():
            return None
        payload = read_json(path, PLAN)
        try:
            return PlanFile.model_validate(payload)
        except ValidationError as error:
            raise UnreadableResult(f"{path}: not {PLAN} ({_validation(error)})") from error


def _validation(error: ValidationError) -> str:
    """The first fault of a record, and its field."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
