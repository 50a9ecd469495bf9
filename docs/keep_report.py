"""Keeps a run's report in the repository: python docs/keep_report.py runs/demo docs/example [BASELINES]."""

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from reports.report import write_report

COLOURS = 256
"""Of a picture in the repository: small, and enough for shades that mean something."""

KEPT = "*Kept from a run: its result files, `results.csv` and `tables/` are not here.*"


def main(run: Path, kept: Path, baselines: Sequence[str] = ()) -> None:
    """The report's text, without links into the run and folders of its machine; figures with few colours."""
    shutil.rmtree(kept, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        report = write_report(run, Path(folder) / "report.md", baselines)
        text = re.sub(
            r"\[((?:[^\[\]]|\[[^\]]*\])*?)\]\((?:[^()]*/)?results/[^)]*\.json\)", r"\1", report.read_text()
        )
        text = re.sub(r"\[([^\]]*)\]\((results\.csv|tables/[^)]*)\)", r"`\2`", text)
        text = re.sub(r"(?<=[ `])/(?:[\w.-]+/)+([\w.-]+)", r"…/\1", text)
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n{KEPT}\n{rest}"
        (kept / "figures").mkdir(parents=True)
        for path in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text):
            with Image.open(report.parent / path) as image:
                image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
                    kept / path, optimize=True
                )
        (kept / "report.md").write_text(text)
    print(f"written: {kept}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(",") if len(sys.argv) > 3 else ())
