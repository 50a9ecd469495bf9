"""Renders docs/example/ from a finished `make demo`: python docs/make_example.py runs/demo."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from reports.report import write_report

EXAMPLE = Path(__file__).with_name("example")
COLOURS = 48
"""Of a picture in the repository: small, and enough for lines and dots."""


def main(run: Path) -> None:
    """The report's text without its links into the run folder, and its figures with few colours."""
    shutil.rmtree(EXAMPLE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        report = write_report(run, Path(folder) / "report.md")
        text = re.sub(
            r"\[((?:[^\[\]]|\[[^\]]*\])*?)\]\((?:[^()]*/)?results/[^)]*\.json\)", r"\1", report.read_text()
        )
        text = re.sub(r"\[([^\]]*)\]\((results\.csv|tables/[^)]*)\)", r"`\2`", text)
        (EXAMPLE / "figures").mkdir(parents=True)
        for path in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text):
            with Image.open(report.parent / path) as image:
                image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
                    EXAMPLE / path, optimize=True
                )
        (EXAMPLE / "report.md").write_text(text)
    print(f"written: {EXAMPLE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
