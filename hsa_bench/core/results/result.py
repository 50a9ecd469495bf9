"""One run's identity and its record, to and from JSON. Free of torch, so a laptop can report."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from hsa_bench.core.digest import digest
from hsa_bench.core.results.curve import Curve, Sweep
from hsa_bench.core.results.metric import Metric, values
from hsa_bench.core.results.mined import Mined
from hsa_bench.core.results.record import Record

SCHEMA = 3
"""Version of the record. Older files still load; newer ones are refused."""

KEY = 1
"""Version of the key algorithm. Raising it makes every cell run again."""

Status = Literal["ok", "failed", "skipped"]

Beside = Annotated[str, Field(pattern=r"^[^/\\\x00]*$")]
"""Name of a file in the same folder, which leads to no other."""


class BackboneId(Record):
    """What of a backbone can change a number."""

    arch: str
    """Architecture name, or the class of a module handed in from outside."""
    weights: str
    """SHA-256 over all tensors of the trunk, parameters and buffers."""
    card: dict[str, Any] = Field(default_factory=dict)
    """Preprocessing the weights expect: mean, std, channel order, value range."""
    behaviour: str = ""
    """What a network does beside its tensors, as a digest, where `arch` does not fix it. Schema 3."""

    @model_serializer(mode="wrap")
    def _less_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is empty, so that the keys of named architectures are what they were before."""
        held: dict[str, Any] = handler(self)
        return held if self.behaviour else {name: v for name, v in held.items() if name != "behaviour"}


class DataId(Record):
    """What of the data can change a number."""

    name: str
    fingerprint: str
    """Hash over names, labels and pixels (of a fixed draw, for very large sets) of all splits."""


class RunSpec(Record):
    """Everything that can change a number. Its hash is the result's file name."""

    task: str
    version: int
    settings: dict[str, Any]
    backbone: BackboneId
    data: DataId
    seed: int
    limit: int | None = Field(default=None, ge=0)

    @property
    def key(self) -> str:
        """16 hex digits that change if and only if the specification does."""
        text = json.dumps({"key": KEY, **self.model_dump(mode="json")}, sort_keys=True, separators=(",", ":"))
        return digest(text)


class Coverage(Record):
    """How completely a checkpoint filled its trunk. Anything but complete is refused on loading."""

    matched: int = Field(ge=0)
    """Trunk tensors that came from the file."""
    total: int = Field(ge=0)
    """Trunk tensors there are."""
    dropped: tuple[str, ...] = ()
    """Keys of the file that its format drops by rule: heads, queues, the other branch."""


class Budget(Record):
    """What pretraining cost. Travels inside this project's checkpoints."""

    method: str
    dataset: str
    epochs: int = Field(ge=0)
    images: int = Field(ge=0)
    """Training images drawn: epochs x set size, less dropped last batches."""
    views: float = Field(ge=0)
    """Views of each drawn image that pass through the trunk, query and key branch together."""
    seconds: float = Field(ge=0)
    seed: int
    flops: float = Field(default=0.0, ge=0)
    """Multiplications and additions of all forward and backward passes and of mining; 0 if not counted."""
    warnings: tuple[str, ...] = ()
    """What was remarked before and during training, e.g. a queue large for the data, or collapse."""
    notes: tuple[str, ...] = ()
    """Settings other than the defaults, which are those of MoCo v2's and HSA's code."""
    device: str = ""
    """What it was trained on, after a stop in the end, e.g. "NVIDIA H100 80GB HBM3, 4 processes"; empty in
    older files."""
    mined: Mined | None = None
    """How good the neighbours were that it pulled together; absent where it mined none or has no labels, and
    in older files."""
    start: str = ""
    """What it began with other than random weights, and what that had cost, which the numbers here leave out:
    "the whole state of moco.state.pth (3fa4b2c19d08): moco, 60 epochs of cifar10, 600,000 images"."""


class Source(Record):
    """Where a backbone came from; shown in the report, not part of the key."""

    path: str
    """File the weights were read from, or a word such as "random initialisation"."""
    format: str
    branch: str = ""
    """Which network of the file was taken, e.g. "query" of a momentum pair."""
    coverage: Coverage | None = None
    budget: Budget | None = None
    sha256: str = ""
    """Of the file, as `sha256sum` prints it."""
    md5: str = ""
    """Of the file, by which some authors name what they published. Schema 2."""
    assumed: tuple[str, ...] = ()
    """What neither file nor format says and was taken for granted, e.g. the preprocessing."""
    pretraining_seed: int | None = None
    """Seed of its pretraining, where the user states it; weights under one name that each state another are
    several pretrainings."""
    images_known: int = Field(default=0, ge=0)
    """Pictures of its pretraining whose hashes the file holds."""


class Failure(Record):
    """Why there is no number."""

    kind: Literal["exception", "killed", "blocked"]
    message: str
    traceback: str = ""


class Overlap(Record):
    """How many test images a backbone was pretrained on, by the hashes in its file. Schema 3."""

    shared: int = Field(ge=0)
    tested: int = Field(ge=0)
    """All test images."""


class Provenance(Record):
    """What the number was made with; does not enter the key."""

    version: str
    commit: str
    dirty: bool
    python: str
    packages: dict[str, str]
    """Versions by name."""
    hardware: dict[str, str]
    """By name: cpu, cores, device, system; of a GPU further gpu (its model), gpu memory, driver, cuda or
    rocm, cudnn, and processes where several computed. What is not known is left out."""
    command: str
    started: str
    """ISO 8601, UTC."""


class TaskResult(Record):
    """One finished run. The file exists if and only if the run ended."""

    schema_version: int = SCHEMA
    label: str
    """The backbone's name in tables."""
    spec: RunSpec
    status: Status
    main_metric: str
    seeded: bool
    """Whether the number depends on the seed; if not, the task runs once."""
    diagnostic: bool = False
    """Whether the numbers describe and do not rank: no difference of them is tested. Schema 2."""
    protocol: str
    """The task's protocol in prose, with its source."""
    metrics: tuple[Metric, ...] = ()
    """The numbers with their descriptions, one of them by the name of `main_metric`. Since schema 3."""
    curves: tuple[Curve, ...] = ()
    """Quantities over a training. Since schema 3."""
    sweeps: tuple[Sweep, ...] = ()
    """What other settings would have given. Schema 3."""
    step: int | None = Field(default=None, ge=0)
    """Step or epoch of a training at which the checkpoint was taken; not in the key. Schema 3."""
    overlap: Overlap | None = None
    """Test images that the backbone was pretrained on; empty where its file does not tell. Schema 3."""
    effective: dict[str, Any] = Field(default_factory=dict)
    """What was decided during the run, e.g. the chosen learning rate."""
    examples: Beside = ""
    """Name of the per-example outcomes beside this file, or empty."""
    artefacts: dict[str, Beside] = Field(default_factory=dict)
    """Further files beside this one: checkpoints, pictures."""
    source: Source
    seconds: float = Field(ge=0)
    """What it took; of a run that went on after a stop, with the part that its checkpoint kept."""
    peak_memory_mb: float = Field(ge=0)
    """Resident memory of the process."""
    peak_device_memory_mb: float = Field(default=0.0, ge=0)
    """Tensors' memory on the GPU, of the first process's where several computed; 0: no GPU, or not known.
    Schema 3."""
    images: int = Field(default=0, ge=0)
    """Pictures that passed through the backbone; 0: none (features on file), or not counted. Schema 2."""
    network_print: str = ""
    """The backbone's features of a few fixed pictures, as text: whether it is still the network that this was
    measured on. Schema 3."""
    changed: tuple[str, ...] | None = ()
    """Settings unlike the task's own, so that its number is not the recipe's; null: not known, as in files
    of schema 1."""
    failure: Failure | None = None
    reason: str = ""
    """Why a run was skipped."""
    provenance: Provenance

    @property
    def values(self) -> dict[str, float]:
        """The bare numbers by name."""
        return values(self.metrics)

    @property
    def courses(self) -> dict[str, Curve]:
        """The curves by name."""
        return {curve.name: curve for curve in self.curves}

    @property
    def main(self) -> Metric:
        """The metric that tables show; the run must have a number."""
        return next(metric for metric in self.metrics if metric.name == self.main_metric)

    @model_validator(mode="after")
    def _one_name_one_number(self) -> Self:
        values(self.metrics)
        return self
