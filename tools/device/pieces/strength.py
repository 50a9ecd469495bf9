"""Piece 3: does MoCo learn here as fast as in its authors' log? The first epochs of their CIFAR-10 demo."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.cores import own_cores
from hsa_bench.core.data.views import View
from pretrain.loop import Training
from pretrain.preset import read_preset
from pretrain.progress import Progress
from pretrain.settings import Settings
from tools.device.cifar10 import noted, training_pictures
from tools.device.demo_log import KNN, LOSS
from tools.device.mark import mark
from tools.device.piece import Call, Piece
from tools.device.piece_folder import PieceFolder
from tools.device.row import Relation, Row

PRESET = "moco-demo-cifar10"
SEED = 0
EPOCH = 40.0
"""Seconds that an epoch may take before one has been timed, its pictures read and bare pixels mined."""
LESS = 5.0
"""Points that ours may lie below the log's: another seed, pictures that may be JPEG copies, and a look at a
tenth of train against the other nine, where the demo takes test against all of train. Our choice."""
TINY: Mapping[str, Any] = {"batch": 8, "queue": 16, "bn_groups": 2, "augment": "digits", "knn_every": 1}
MILESTONES = tuple(KNN)


def _run(call: Call, on_file: PieceFolder) -> list[str]:
    course = _Course(call, on_file, (1, 2, 3) if call.tiny else MILESTONES)
    if not (noted(call, on_file) and course.left):
        return []
    folder = on_file.work()
    fault = course.go(folder / "training.resume")
    if not (course.left or fault):
        shutil.rmtree(folder)
    return course.left


@dataclass
class _Course:
    """The training on its way: what each milestone gave is on file as soon as it is passed."""

    call: Call
    on_file: PieceFolder
    milestones: tuple[int, ...]
    told: float = field(init=False)
    """Seconds of training that stand on file."""

    def __post_init__(self) -> None:
        done = [self.on_file.parts.get(_name(epoch)) for epoch in self.milestones]
        self.told = sum(part.seconds for part in done if part)

    @property
    def left(self) -> list[str]:
        return self.on_file.missing(map(_name, self.milestones))

    def go(self, resume: Path) -> str:
        """Train as far as there is time; return what went wrong."""
        name = self.left[0]
        if not self.call.has_time_for(EPOCH):
            return ""
        self.on_file.begin(name, mark(resume.parent))
        try:
            training = self._training()
            training.run(resume, self.stop)
        except Exception as error:  # told in the table; the epochs before stand
            fault = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.on_file.put(name, [], 0.0, fault)
            return fault
        return ""

    def stop(self, progress: Progress) -> bool:
        """Write what is known; stop once all is, or where another epoch would take too long."""
        for at, epoch in enumerate(self.milestones):
            if progress.epoch >= epoch and not self.on_file.done(_name(epoch)):
                rows = self._rows(at, progress)
                self.on_file.put(_name(epoch), rows, progress.seconds - self.told)
                self.told = progress.seconds
                print(f"  {_name(epoch)}: {'; '.join(' '.join(row.cells[:2]) for row in rows)}", flush=True)
        each = progress.seconds / progress.epoch if progress.epoch else EPOCH
        return not self.left or not self.call.has_time_for(2 * each)

    def _rows(self, at: int, progress: Progress) -> list[Row]:
        epoch, log = self.milestones[at], MILESTONES[at]
        knn = progress.curves["knn"][epoch // self.milestones[0] - 1]
        relation: Relation = "" if self.call.tiny else "at least"
        note = "of a tenth of train, which is held out of the bank alone"
        rows = [
            Row("kNN on the head's output", knn, "%", relation, KNN[log] - LESS, note),
            Row("the same in the log", KNN[log], "%", note="of test"),
            Row("ours less the log's", knn - KNN[log], "points"),
        ]
        before = self.milestones[at - 1] if at else 0
        for ours, theirs in LOSS.items():
            if before < ours <= epoch and ours <= progress.epoch:
                loss = progress.curves["loss"][ours - 1]
                rows.append(Row(f"loss of epoch {ours}", loss, note=f"in the log {theirs:.4g}"))
        return [*rows, Row("an epoch, looks included", progress.seconds / progress.epoch, "s")]

    def _training(self) -> Training:
        tiny, on_gpu = self.call.tiny, self.call.on_gpu
        preset = read_preset(PRESET)
        given = {**preset.settings, "knn_every": self.milestones[0]}
        settings = Settings(
            **{**given, **(TINY if tiny else {}), "augment_on": "device" if on_gpu else "cpu"}
        )
        images = training_pictures(self.call, 32 if tiny else None)
        arch = "resnet18-w8-s2" if tiny else preset.arch
        backbone = open_backbone(BackboneRequest(label=PRESET, arch=arch, init=SEED))
        ctx = Context(
            data_root=self.call.data,
            cache=self.on_file.work() / "cache",
            device=self.call.device,
            workers=own_cores() if on_gpu else 0,
        )
        side = preset.image_size
        return Training(settings, backbone, images, View(side, side), SEED, ctx, say=_say)


def _name(epoch: int) -> str:
    return f"after {epoch} epochs of 200"


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


PIECE = Piece(3, "Piece 3: as strong as its authors' log?", _run)
