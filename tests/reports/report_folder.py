"""A results folder as the demo leaves it, with made-up but believable outcomes."""

from pathlib import Path
from typing import Any

import numpy as np

from hsa_bench.core.results import outcomes, schema2
from hsa_bench.core.results.average_precision import average_precision, ranked
from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import (
    BackboneId,
    Budget,
    Coverage,
    DataId,
    Failure,
    Provenance,
    RunSpec,
    Source,
    TaskResult,
)
from hsa_bench.core.results.store import Store

IMAGES, SCENES, CLASSES = 360, 40, 10

STRENGTH = {"hsa": 1.1, "moco": 0.9, "simclr": 0.8, "random": 0.1, "pixels": -0.1}
TASKS = {"linear": 0.5, "linear-cached": 0.45, "knn": 0.3, "semisup-1": -0.8, "semisup-10": 0.2}
PROTOCOLS = {
    "linear": "SGD on augmented views through the frozen trunk; 8 learning rates in one pass, chosen on "
    "held-out training images (He et al. 2020, arXiv:1911.05722, sec. 4.1).",
    "linear-cached": "The same grid on centre-crop features extracted once.",
    "knn": "Weighted vote of the 20 nearest neighbours, T = 0.07 (Wu et al. 2018, arXiv:1805.01978).",
    "semisup-1": "Fine-tuning of the whole network on 1 % of the labels, 300 steps.",
    "semisup-10": "Fine-tuning of the whole network on 10 % of the labels, 300 steps.",
    "coco": "Mask R-CNN, ResNet-FPN, 400 iterations; COCO AP by pycocotools.",
    "lowshot": "Classifiers from a few images per class.",
    "geometry": "Alignment, uniformity, ranks and clusters.",
    "transfer": "Linear and kNN on another data set.",
    "pretrain": "Self-supervised pretraining on the training split.",
}


def provenance(**changed: Any) -> Provenance:
    facts = {
        "version": "0.1.0",
        "commit": "4f1d2c3b5a69788796a5b4c3d2e1f00112233445",
        "dirty": False,
        "python": "3.11.9",
        "packages": {"torch": "2.8.0", "torchvision": "0.23.0", "numpy": "2.2.0"},
        "hardware": {"cpu": "Example CPU", "cores": "2", "device": "cpu", "system": "Linux x86_64"},
        "command": "python -m hsa_bench.run --preset demo",
        "started": "2026-01-01T00:00:00+00:00",
    }
    return Provenance(**{**facts, **changed})


def result(label: str, task: str, **changed: Any) -> TaskResult:
    """A result record; seed, weights, arch, settings, version, limit and data are those of its spec.

    Metrics, curves and grids may be given by bare names, as in schema 2, whose words then describe them.
    """
    main = "bbox/AP" if task == "coco" else "loss" if task == "pretrain" else "top1"
    spec = RunSpec(
        task=task,
        version=changed.pop("version", 1),
        settings=changed.pop("settings", {"epochs": 20, "batch": 256}),
        backbone=BackboneId(
            arch=changed.pop("arch", "resnet18-w16"),
            weights=changed.pop("weights", f"{sum(map(ord, label)):064x}"[::-1]),
            card={"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "channels": "RGB", "value_range": 1.0},
        ),
        data=changed.pop("data", DataId(name="digits", fingerprint="0123456789abcdef")),
        seed=changed.pop("seed", 0),
        limit=changed.pop("limit", None),
    )
    facts: dict[str, Any] = {
        "label": label,
        "spec": spec,
        "status": "ok",
        "main_metric": main,
        "seeded": task not in {"knn"},
        "protocol": PROTOCOLS["transfer" if task.startswith("transfer-") else task],
        "metrics": {main: 50.0},
        "source": Source(path=f"{label}.pth", format="hsa_bench"),
        "seconds": 12.3,
        "peak_memory_mb": 812.0,
        "provenance": provenance(),
    }
    facts |= changed
    if isinstance(facts["metrics"], tuple):
        return TaskResult(**facts)
    return TaskResult.model_validate(schema2.upgraded({**facts, "spec": spec.model_dump()}))


def write(out: Path, one: TaskResult, kept: outcomes.Outcomes | None = None) -> TaskResult:
    """Put a result on file, with its per-example outcomes if there are any."""
    store = Store(out)
    if kept is not None:
        path = store.path(one.label, one.spec.task, one.spec.key).with_suffix(".npz")
        outcomes.save(path, kept)
        one = one.model_copy(update={"examples": path.name})
    store.put(one)
    return one


def classified(right: np.ndarray, example: np.ndarray | None = None) -> outcomes.ClassificationOutcomes:
    """Outcomes in which the images of a mask are right, and wrong ones are next best."""
    label = np.arange(len(right)) % CLASSES
    names = np.array([str(i) for i in range(len(right))]) if example is None else example
    prediction = np.where(right, label, (label + 1) % CLASSES)
    score = np.full(len(right), 0.5, np.float32)
    return outcomes.ClassificationOutcomes(names, label, prediction, score, np.ones(len(right), np.bool_))


def detected(strength: float, rng: np.random.Generator) -> outcomes.DetectionOutcomes:
    """Detections of a few objects an image, better placed the stronger the backbone."""
    objects = np.random.default_rng(5).integers(2, size=(SCENES, CLASSES)).astype(np.int32)
    image, label = np.nonzero(objects)
    quality = np.clip(strength * 0.25 + 0.25 * rng.standard_normal(len(image)) + 0.2, 0, 1)
    matched = quality[:, None] * 1.3 > np.arange(0.5, 1.0, 0.05)
    extra = rng.integers(SCENES, size=60), rng.integers(CLASSES, size=60)
    rows = {
        "image": np.concatenate([image, extra[0]]).astype(np.int32),
        "class": np.concatenate([label, extra[1]]).astype(np.int32),
        "score": np.concatenate([quality, 0.5 * rng.random(60)]).astype(np.float32),
        "matched": np.concatenate([matched, np.zeros((60, 10), np.bool_)]),
        "ignored": np.zeros((len(image) + 60, 10), np.bool_),
        "objects": objects,
    }
    both = {f"{kind}_{part}": array for kind in ("bbox", "segm") for part, array in rows.items()}
    return outcomes.DetectionOutcomes(example=np.array([f"{i}.jpg" for i in range(SCENES)]), **both)


def source(label: str, init: int) -> Source:
    if label in {"random", "pixels"}:
        path = f"random initialisation {init}" if label == "random" else "the picture itself"
        return Source(path=path, format="control")
    notes = ("batch norm in the head", "queue of 256 instead of 65,536")
    return Source(
        path=f"results/{label}/pretrain/{label}.pth",
        format="hsa_bench",
        branch="query",
        coverage=Coverage(matched=102, total=102, dropped=tuple(f"head.{i}.weight" for i in range(6))),
        budget=Budget(
            method=label,
            dataset="digits",
            epochs=15,
            images=21000,
            views=4.0,
            seconds=48.2,
            seed=0,
            notes=notes,
        ),
    )


def demo(out: Path) -> Path:
    """Five backbones on six tasks; one run failed, pixels cannot be fine-tuned, one cell is blocked."""
    rng = np.random.default_rng(0)
    hardness = rng.standard_normal(IMAGES)
    written: list[TaskResult] = []
    blocked = [PlannedRun(label="hsa", task="voc", seed=0, blocked="VOC2007: no such folder below data/")]
    scenes = {"data": DataId(name="digit-scenes", fingerprint="fedcba9876543210")}
    for label in ("hsa", "moco", "simclr"):
        curve = [4.0 / (1 + 0.2 * e) + STRENGTH[label] for e in range(15)]
        curves = {"loss": curve, "knn": [40 + 30 * STRENGTH[label] * (1 - 0.8**e) for e in range(15)]}
        curves |= {"purity": [60 + 2.0 * e for e in range(3)]} if label == "hsa" else {}
        metrics = {"loss": curve[-1], "knn": curves["knn"][-1]}
        facts = {"metrics": metrics, "curves": curves, "settings": {"method": label, "epochs": 15}}
        written.append(write(out, result(label, "pretrain", seconds=48.2, **facts)))
    for label, strength in STRENGTH.items():
        for init in range(3 if label == "random" else 1):
            own = {"source": source(label, init), "weights": f"{sum(map(ord, label)) * 7 + init:064x}"[::-1]}
            own |= {"arch": "pixels"} if label == "pixels" else {}
            for task, ease in TASKS.items():
                if label == "pixels" and task.startswith("semisup"):
                    reason = "pixels has nothing to fine-tune"
                    written.append(
                        write(out, result(label, task, status="skipped", metrics={}, reason=reason, **own))
                    )
                    continue
                noise = 0.8 * rng.standard_normal(IMAGES)
                right = classified(strength + ease + 0.05 * init - hardness + noise > 0)
                top1 = float(np.mean(right.prediction == right.label) * 100)
                tried = {"lr": float(rng.choice([0.1, 0.3, 1.0]))} if task.startswith("linear") else {}
                facts = {"metrics": {"top1": top1, "top5": 100.0}, "effective": tried, **own}
                written.append(write(out, result(label, task, **facts), right))
            own |= scenes
            if label == "simclr":
                failure = Failure(kind="killed", message="the worker process was killed by SIGKILL")
                written.append(
                    write(out, result(label, "coco", status="failed", metrics={}, failure=failure, **own))
                )
            elif label == "pixels":
                reason = "pixels has no stages"
                written.append(
                    write(out, result(label, "coco", status="skipped", metrics={}, reason=reason, **own))
                )
            else:
                found = detected(strength, rng)
                ap = average_precision(ranked(found, "bbox"), np.ones((1, SCENES), np.int64))[0]
                metrics = {"bbox/AP": float(ap.mean()), "bbox/AP50": float(ap[0]), "bbox/AP75": float(ap[5])}
                written.append(write(out, result(label, "coco", metrics=metrics, **own), found))
    cells = [PlannedRun(label=r.label, task=r.spec.task, seed=r.spec.seed, key=r.spec.key) for r in written]
    plan = PlanFile(
        title="hsa_bench demo",
        preset="demo",
        notes=("SimCLR: SGD instead of LARS, batch 128 instead of 4,096.",),
        baselines=("moco", "simclr"),
        controls=("random", "pixels"),
        command="python -m hsa_bench.run --preset demo",
        runs=tuple(cells + blocked),
    )
    Store(out).write_plan(plan)
    return out
