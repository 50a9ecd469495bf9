"""Pictures that tasks left beside their results, placed beside the report."""

from __future__ import annotations

import shutil
from pathlib import Path

from reports.figures.picture import FOLDER, Picture
from reports.run_folder.collected import Collected
from reports.writing.file_name import file_stem
from reports.writing.unwritten import Unwritten

PICTURES = {".png", ".jpg", ".jpeg"}

CAPTIONS = {
    "detections": "First test pictures that hold an object. Dashed white: true boxes. Coloured: the "
    "detections with the highest scores, as many as there are objects, with class and score."
}
"""What one must know of an artefact, by its name."""


def place_artefacts(
    collected: Collected, report: Path, missing: Unwritten | None = None
) -> dict[str, list[Picture]]:
    """Copy the pictures that tasks left beside the report, by task; of each backbone the first run's.

    Args:
        collected: The run folder.
        report: The Markdown file.
        missing: Takes note of pictures that cannot be copied.
    """
    placed: dict[str, dict[tuple[str, str], Picture]] = {}
    taken: set[str] = set()
    inside = collected.out.resolve()
    for result in collected.results:
        label, task = result.label, result.spec.task
        for name, file in result.artefacts.items():
            source = collected.folder(result) / Path(file).name
            if source.suffix.lower() not in PICTURES or not source.is_file():
                continue
            if not source.resolve().is_relative_to(inside):
                continue  # a link to what is none of this run's
            if (label, name) not in placed.setdefault(task, {}):
                target = Path(FOLDER, file_stem(f"{label}-{task}-{source.stem}", taken) + source.suffix)
                with (missing or Unwritten()).noting(report.parent / target):
                    (report.parent / target.parent).mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, report.parent / target)
                title = f"{label}, {task}, seed {result.spec.seed}: {name}"
                caption = f"{label}. {CAPTIONS.get(name, '')}".rstrip()
                placed[task][label, name] = Picture(target, title, caption)
    return {task: list(pictures.values()) for task, pictures in placed.items()}
