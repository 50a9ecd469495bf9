"""Outcomes of anybody's: what is no outcome is refused by name, before memory is asked for."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsa_bench.core.results import outcomes

CLASSIFIED: dict[str, Any] = {
    "example": np.array(["a", "b"]),
    "label": np.array([0, 1]),
    "prediction": np.array([1, 1]),
    "score": np.ones(2, np.float32),
    "top5": np.ones(2, np.bool_),
    "classes": np.array(["ant", "bee"]),
}
ROWS = {
    "image": np.array([0, 1], np.int32),
    "class": np.array([0, 2], np.int32),
    "score": np.ones(2, np.float32),
    "matched": np.ones((2, 10), np.bool_),
    "ignored": np.zeros((2, 10), np.bool_),
    "objects": np.ones((2, 3), np.int32),
}
DETECTED: dict[str, Any] = {
    "example": np.array(["a", "b"]),
    **{f"{kind}_{name}": array for kind in ("bbox", "segm") for name, array in ROWS.items()},
    "interpolation": np.array("voc07"),
}


@pytest.mark.parametrize("arrays", [CLASSIFIED, DETECTED])
def test_what_is_saved_comes_back(tmp_path: Path, arrays: dict[str, Any]) -> None:
    kind = outcomes.ClassificationOutcomes if "label" in arrays else outcomes.DetectionOutcomes
    outcomes.save(tmp_path / "x.npz", kind(**arrays))

    back = outcomes.load(tmp_path / "x.npz")

    assert type(back) is kind
    assert all(np.array_equal(getattr(back, f.name), arrays.get(f.name, [])) for f in fields(kind))


ODD: list[dict[str, Any]] = [
    {"label": np.array(["0", "1"])},
    {"label": np.array([0.0, 1.0])},
    {"label": np.array([0, 10**12])},
    {"label": np.array([0, 2])},
    {"label": np.array([-1, 0])},
    {"label": np.array([0, 2**64 - 1], np.uint64)},
    {"label": np.array([[0, 1]])},
    {"label": np.array(1)},
    {"prediction": np.array([0, 7])},
    {"prediction": np.array([0, -1])},
    {"score": np.array([np.nan, 1.0])},
    {"top5": np.array([1, 0])},
    {"top5": np.ones(3, np.bool_)},
    {"classes": np.array([1, 2])},
    {"example": np.array([1, 2])},
    {"classes": np.array([]), "label": np.array([0, 200_000])},
    {"bbox_image": np.array([0, 2])},
    {"bbox_image": np.array([0.5, 1])},
    {"bbox_class": np.array([0, 3])},
    {"segm_class": np.array([-1, 3])},
    {"segm_score": np.array([np.inf, 3])},
    {"bbox_matched": np.ones((2, 9), np.bool_)},
    {"bbox_objects": np.full((2, 3), -1)},
    {"bbox_objects": np.full((2, 3), 2**31)},
    {"bbox_objects": np.ones(2, np.int32)},
    {"interpolation": np.array("nothing")},
    {"interpolation": np.array(["coco", "coco"])},
]


@pytest.mark.parametrize("change", ODD)
def test_an_odd_array_is_refused_by_its_name(tmp_path: Path, change: dict[str, Any]) -> None:
    usual = DETECTED if any("_" in name or name == "interpolation" for name in change) else CLASSIFIED
    np.savez(tmp_path / "x.npz", **{**usual, **change})

    with pytest.raises(ValueError, match=rf"x\.npz: .*{[*change][-1]}"):
        outcomes.load(tmp_path / "x.npz")


def test_pickles_in_it_are_not_read(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "harmed",))

    np.savez(tmp_path / "x.npz", **{**CLASSIFIED, "classes": np.array([Harm()], object)})

    with pytest.raises(ValueError, match=r"classes\.npy holds pickled objects"):
        outcomes.load(tmp_path / "x.npz")
    assert not (tmp_path / "harmed").exists()


def bomb(path: Path, shape: str, size: int) -> None:
    """A file that says it holds much, of which there are so many zeros."""
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = io.BytesIO(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed as archive, archive.open("label.npy", "w") as file:
        file.write(content.getvalue())
        for _ in range(size // 2**20):
            file.write(bytes(2**20))


@pytest.mark.parametrize(
    ("shape", "size", "says"),
    [("(10**12,)", 0, "damaged"), ("(1000000000000,)", 0, "cut off"), ("(1,)", 1100 * 2**20, "more than")],
)
def test_no_more_memory_is_asked_for_than_a_file_holds(
    tmp_path: Path, shape: str, size: int, says: str
) -> None:
    bomb(tmp_path / "x.npz", shape, size)
    tracemalloc.start()

    with pytest.raises(ValueError, match=rf"x\.npz: .*{says}"):
        outcomes.load(tmp_path / "x.npz")

    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_wherever_it_is_damaged_it_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    outcomes.save(path, outcomes.ClassificationOutcomes(**CLASSIFIED))
    content = path.read_bytes()
    said = []
    for place in range(0, len(content), 7):
        flipped = content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :]
        for damaged in (content[:place], flipped):
            path.write_bytes(damaged)
            try:
                outcomes.load(path)  # a flag that nobody reads may be another
            except ValueError as error:
                said.append(str(error))

    assert len(said) > len(content) / 7
    assert all(text.startswith(f"{path}: ") for text in said)


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.npz").mkdir()

    with pytest.raises(ValueError, match="no file"):
        outcomes.load(tmp_path / "x.npz")
