"""Which tests are `make unit`: seconds each file, no process, no training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILES = (
    "core/test_*.py",
    "core/input/*.py",
    "test_order.py",
    "core/results/*.py",
    "core/models/*.py",
    "core/features/*.py",
    "core/data/*.py",
    "core/checkpoints/test_checkpoint.py",
    "core/checkpoints/test_ambiguous.py",
    "core/checkpoints/test_choose_arch.py",
    "core/checkpoints/test_own_names.py",
    "core/checkpoints/test_request.py",
    "core/checkpoints/test_safe_read.py",
    "core/runs/test_hardware.py",
    "core/runs/test_passes.py",
    "eval_tasks/test_classifier.py",
    "eval_tasks/test_coco_score.py",
    "eval_tasks/test_detection_settings.py",
    "eval_tasks/test_grid.py",
    "eval_tasks/test_knn.py",
    "eval_tasks/test_schedule.py",
    "eval_tasks/test_scored.py",
    "eval_tasks/test_voc_draws.py",
    "eval_tasks/test_voc_score.py",
    "pretrain/test_augment.py",
    "pretrain/test_device_augment.py",
    "pretrain/test_losses.py",
    "pretrain/test_optimiser.py",
    "pretrain/test_pixels.py",
    "pretrain/test_positives.py",
    "pretrain/test_precision.py",
    "pretrain/test_preflight.py",
    "pretrain/test_schedule.py",
    "pretrain/test_simclr_scale.py",
    "reports/test_figure_of_progress.py",
    "reports/test_inline.py",
    "reports/test_keep.py",
    "reports/test_published_data.py",
    "reports/test_report_anchors.py",
    "reports/test_report_breakdown.py",
    "reports/test_report_compare.py",
    "reports/test_report_devices.py",
    "reports/test_report_frame.py",
    "reports/test_report_grid.py",
    "reports/test_report_mined.py",
    "reports/test_report_notes.py",
    "reports/test_report_tables.py",
    "reports/test_significance.py",
    "suite/test_job.py",
    "test_documents.py",
    "test_keys.py",
)
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
"""Audit events of a process that begins."""

_refusing = False


def listed(path: Path) -> bool:
    """Whether a test file's tests are unit tests, unless they use what starts a process."""
    inside = path.relative_to(Path(__file__).parent)
    return any(inside.match(pattern) and len(inside.parts) == pattern.count("/") + 1 for pattern in FILES)


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if _refusing and event in STARTS:
        raise RuntimeError(
            f"a unit test starts a process ({event}); take its file off the list in tests/unit.py"
        )


sys.addaudithook(_refuse)


@contextmanager
def no_process() -> Iterator[None]:
    """Let whatever starts a process fail."""
    global _refusing  # noqa: PLW0603 (a hook cannot be taken off)
    _refusing = True
    try:
        yield
    finally:
        _refusing = False
