"""Writes tests/golden/report/ anew from the made-up demo folder: look at the difference before committing it.

python -m tests.golden.make_report_golden
"""

import re
import tempfile
from pathlib import Path

from reports.report import write_report
from tests.reports.report_folder import demo

GOLDEN = Path(__file__).with_name("report")


def excerpts(report: Path) -> dict[str, str]:
    """What is compared, by golden file: the text without the long published tables, and the page's bones."""
    text = report.read_text()
    shortened = re.sub(r"(?s)(?<=## Published numbers\n).*?(?=## Statistics)", "\n…\n\n", text)
    tables = report.parent / "tables"
    return {
        "report.md": shortened,
        "page.txt": bones(report.with_suffix(".html").read_text()),
        "results.tex": (tables / "results.tex").read_text(),
        "results.csv": (tables / "results.csv").read_text(),
        "statistics.csv": (tables / "statistics.csv").read_text(),
    }


def bones(page: str) -> str:
    """Headings, tables, figures and landmarks of a page, in their order, a line each."""
    body = re.sub(r"(?s)<(style|script)\b.*?</\1>", "", page)
    tags = r"<(h[1-6]|table|figure|details|nav|main|header|footer|aside)\b([^>]*)>(.*?)(?=</h|<|$)"
    found = []
    for tag, attributes, inside in re.findall(tags, body, flags=re.DOTALL):
        name = re.search(r'\bid="([^"]+)"', attributes)
        words = " ".join(inside.split()) if tag.startswith("h") and tag != "header" else ""
        found.append(" ".join(part for part in (tag, f"#{name[1]}" if name else "", words) if part))
    return "\n".join(found) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, content in excerpts(write_report(demo(Path(folder) / "run"))).items():
            (GOLDEN / name).write_text(content)
            print(f"written: {GOLDEN / name}")
