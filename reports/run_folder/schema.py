"""The JSON Schema of a result file, for results written elsewhere (docs/results.md)."""

from __future__ import annotations

import json

from hsa_bench.core.results.result import SCHEMA, TaskResult


def result_schema() -> str:
    """JSON Schema (2020-12) of `results/<backbone>/<task>/<key>.json`, as published in docs/."""
    schema = TaskResult.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"hsa_bench result, schema {SCHEMA}"
    schema["properties"]["schema_version"]["maximum"] = SCHEMA
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
