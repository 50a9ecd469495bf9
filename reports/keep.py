"""A run's report to keep in a repository: text and figures, without the folders of its machine."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from reports.report import write_report

COLOURS = 256
"""Colours of a kept figure: small, and enough for shades that mean something."""

KEPT = "*Kept from a run: its result files, `results.csv` and `tables/` are not here.*"


def keep_report(run: Path, kept: Path, baselines: Sequence[str] = ()) -> None:
    """Write a run's report into a folder, without links into the run and without folders of its machine.

    Args:
        run: The `--out` folder of a run.
        kept: Replaced as a whole by report.md and figures/.
        baselines: Backbones to compare with, instead of the run's.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = write_report(run, Path(folder) / "report.md", baselines)
        text = re.sub(
            r"\[((?:[^\[\]]|\[[^\]]*\])*?)\]\((?:[^()]*/)?results/[^)]*\.json\)",
            r"\1",
            report.read_text(encoding="utf-8"),
        )
        text = re.sub(r"\[([^\]]*)\]\((results\.csv|tables/[^)]*)\)", r"`\2`", text)
        text = re.sub(r"(?<=[ `])/(?:[\w.-]+/)+([\w.-]+)", r"…/\1", text)
        shutil.rmtree(kept, ignore_errors=True)
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n{KEPT}\n{rest}"
        (kept / "figures").mkdir(parents=True)
        for quoted in re.findall(r"!\[(?:\\.|[^\]\\])*\]\((figures/[^)/]+)\)", text):
            path = unquote(quoted)
            if not (report.parent / path).is_file():
                continue  # no picture of ours, but what somebody's text looks like
            with Image.open(report.parent / path) as image:
                image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
                    kept / path, optimize=True
                )
        (kept / "report.md").write_text(text, encoding="utf-8")
