"""A run's report to keep in a repository: text and figures, without the folders of its machine."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from hsa_bench.core.errors import UsageError
from hsa_bench.core.files import whole_folder
from reports.report import write_report

COLOURS = 256
"""Colours of a kept figure: small, and enough for shades that mean something."""

PARTS = ("report.md", "figures", ".DS_Store")
"""What may stand in a folder that is replaced."""

KEPT = "*Kept from a run: its result files, `results.csv` and `tables/` are not here.*"


def keep_report(run: Path, kept: Path, baselines: Sequence[str] = ()) -> None:
    """Write a run's report into a folder, without links into the run and without folders of its machine.

    Args:
        run: The `--out` folder of a run.
        kept: Replaced as a whole by report.md and figures/.
        baselines: Backbones to compare with, instead of the run's.

    Raises:
        UsageError: Something else than a kept report is there, for example the run.
        Unwritable: It cannot be written; what was kept before stays.
    """
    _check_replaceable(kept)
    with tempfile.TemporaryDirectory() as folder:
        report = write_report(run, Path(folder) / "report.md", baselines)
        with whole_folder(kept) as made:
            _fill(made, report)
            shutil.rmtree(kept, ignore_errors=True)


def _check_replaceable(kept: Path) -> None:
    """Refuse to remove what is no report.

    Raises:
        UsageError: It is no folder, or holds other things; the message names one.
    """
    if kept.is_symlink() or (kept.exists() and not kept.is_dir()):
        raise UsageError(f"{kept}: is no folder; give another one to -o")
    others = sorted(path.name for path in kept.iterdir() if path.name not in PARTS) if kept.exists() else []
    if others:
        raise UsageError(f"{kept}: holds {others[0]}, so it is no kept report; give another folder to -o")


def _fill(kept: Path, report: Path) -> None:
    """Write the parts of a kept report."""
    text = re.sub(
        r"\[((?:[^\[\]]|\[[^\]]*\])*?)\]\((?:[^()]*/)?results/[^)]*\.json\)",
        r"\1",
        report.read_text(encoding="utf-8"),
    )
    text = re.sub(r"\[([^\]]*)\]\((results\.csv|tables/[^)]*)\)", r"`\2`", text)
    text = re.sub(r"(?<=[ `])/(?:[\w.-]+/)+([\w.-]+)", r"…/\1", text)
    title, _, rest = text.partition("\n")
    text = f"{title}\n\n{KEPT}\n{rest}"
    (kept / "figures").mkdir()
    for quoted in re.findall(r"!\[(?:\\.|[^\]\\])*\]\((figures/[^)/]+)\)", text):
        path = unquote(quoted)
        if not (report.parent / path).is_file():
            continue  # no picture of ours, but what somebody's text looks like
        with Image.open(report.parent / path) as image:
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(kept / path, optimize=True)
    (kept / "report.md").write_text(text, encoding="utf-8")
