"""Annotation files, lists and pictures damaged at random: opened whole, or refused with their name."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eval_tasks import coco, voc
from eval_tasks._detection.samples import TestImages, TrainingSamples, with_objects
from eval_tasks._detection.scoring.coco import evaluate
from eval_tasks._detection.settings import DetectionTask
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import open_coco
from hsa_bench.core.data.detection.voc_folder import open_voc
from hsa_bench.core.data.detection.voc_labels import open_voc_labels
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.preprocess import Preprocess
from tests.support.coco_layout import content, write_coco
from tests.support.voc_layout import write_voc

COCO = replace(
    next(task for task in coco.TASKS if task.name == "coco-fpn-1x"),
    train_sizes=(16,),
    test_size=16,
    max_size=64,
)
VOC = replace(voc.TASKS[1], train_sizes=(16,), test_size=16, max_size=64, classes="auto")

DEEP = 10_000

ODD: list[Any] = [
    None, True, 0, -1, 1, 3, 2**31, 2**63, 10**40, -(10**40), 0.5, -0.0, 1e308, 1e-300, float("nan"),
    float("inf"), float("-inf"), "", " ", "3", "1e5", "cat", "a\0b", "../../secret.png", "/etc/passwd",
    "train0.png", "\ud800", "x" * 300, [], [[]], [[[]]], {}, [1, 2, 3, 4], [[1, 2, 3, 4]],
    [[0, 0, 5, 0, 5, 5]], [[0, 0, 5, 0, 5]], [[0, 0, 1e18, 0, 1e18, 1e18]], [[0, 0, 3e5, 0, 3e5, 3e5]],
    [[float("nan")] * 6], {"size": [-1, -1], "counts": [1]}, {"size": [8, 12], "counts": [96]},
    {"size": [8, 12], "counts": [10, 5, 81]}, {"size": [8, 12], "counts": "zzz"},
    {"size": [10**9, 10**9], "counts": [10**18]}, {"size": [8, 12], "counts": "\ud800"}, {"counts": "04"},
    {"size": [8, 12], "counts": [-5, 101]}, [4, 3, -2, -1], [5, 5, 0, 0], [1e9, 1e9, 1, 1],
    [-1e9, -1e9, 2e9, 2e9],
]  # fmt: skip
"""Stand in the place of any value of a file."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in a file's content."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def damaged(said: dict[str, Any], rng: random.Random) -> Any:
    """The content of a file with one or two values replaced, removed or doubled."""
    said = copy.deepcopy(said)
    for _ in range(rng.choice([1, 1, 2])):
        path = rng.choice(list(places(said)) or [()])
        if not path:
            return rng.choice(ODD)
        holder = said
        for key in path[:-1]:
            holder = holder[key]
        action = rng.random()
        if action < 0.15:
            del holder[path[-1]]
        elif action < 0.25 and isinstance(holder, list):
            holder.append(holder[path[-1]])
        else:
            holder[path[-1]] = copy.deepcopy(rng.choice(ODD))
    return said


def scrambled(text: bytes, rng: random.Random) -> bytes:
    """A file cut off, with other bytes, in another encoding, or nested deeper than anybody reads."""
    at = rng.randrange(len(text))
    return rng.choice(
        [
            text[:at],
            text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :],
            text[:at]
            + rng.choice([b"\xff\xfe", b"\0", b"[" * DEEP, b"9" * 5000, b"<!DOCTYPE a>", b"&x;"])
            + text[at:],
            text.decode().encode("utf-16"),
            b"\xef\xbb\xbf" + text,
            b"<a>" * DEEP + b"</a>" * DEEP,
            b"[" * DEEP + b"]" * DEEP,
        ]
    )


def used(task: DetectionTask, root: Path) -> None:
    """Do all that a run does with its data, but for the network."""
    open_coco.cache_clear()
    open_voc.cache_clear()
    data = task.data("", Context(data_root=root, cache=root))
    data.fingerprint()
    data.limited(2).fingerprint()
    evaluate("bbox", [], data.val.truth())
    if task.masks:
        evaluate("segm", [], data.val.truth("segm"))
    samples = TrainingSamples(data.train, Preprocess(), task, 0)
    for index in with_objects(data.train):
        _, target = samples[0, index]
        assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all()
    for index in range(len(data.val)):
        TestImages(data.val, Preprocess(), task)[index]


def opened_or_refused(task: DetectionTask, root: Path, *names: str) -> None:
    """Whatever is wrong is refused by the suite's own error, which names a file of the data."""
    said = refusal(task, root)
    assert not said or any(name in said for name in (*names, "train0", "train1", "train2")), said
    assert len(said) < 2000, said[:300]


def refusal(task: DetectionTask, root: Path) -> str:
    try:
        used(task, root)
    except DataError as error:
        return str(error)
    return ""


def coco_case(root: Path, seed: int) -> None:
    rng = random.Random(seed)
    split = rng.choice(["train", "val"])
    path = root / "annotations" / f"instances_{split}.json"
    if rng.random() < 0.7:
        path.write_text(json.dumps(damaged(content(split), rng)))
    else:
        path.write_bytes(scrambled(json.dumps(content(split)).encode(), rng))
    for masks in (True, False):
        opened_or_refused(
            replace(COCO, root=str(root), masks=masks), root, "instances_train.json", "instances_val.json"
        )
    path.write_text(json.dumps(content(split)))


def voc_case(root: Path, seed: int) -> None:
    rng = random.Random(seed)
    xml, listing = root / "Annotations" / "a.xml", root / "ImageSets" / "Main" / "train.txt"
    path = rng.choice([xml, xml, listing])
    good = path.read_bytes()
    odd = [str(value) for value in ODD if not isinstance(value, list | dict)]
    values = ["dog", "0", "60", "40", "9", "1"]
    text = good.decode()
    if path == listing:
        line = rng.choice(
            [*odd, "a 1", "b.jpg", "a b c", "a\tb", "../a", "JPEGImages/a.jpg", "a.xml -1", "\u00e9"]
        )
        path.write_bytes(rng.choice([good + line.encode(errors="replace"), scrambled(good, rng)]))
    elif rng.random() < 0.6:
        old = rng.choice([value for value in values if f">{value}<" in text])
        path.write_text(text.replace(f">{old}<", f">{rng.choice(odd)}<", 1), errors="replace")
    else:
        tag = rng.choice(["size", "width", "object", "name", "bndbox", "xmin", "difficult", "annotation"])
        encoding = rng.choice(["nothere", "utf-16", "latin-1", "rot13", "utf-7"])
        header = f"<?xml version='1.0' encoding='{encoding}'?>"
        path.write_bytes(
            rng.choice(
                [
                    text.replace(f"<{tag}>", "").replace(f"</{tag}>", "").encode(),
                    text.replace(f"<{tag}>", f"<{tag}><{tag}>").encode(),
                    (header + text).encode(),
                    scrambled(good, rng),
                ]
            )
        )
    opened_or_refused(
        replace(VOC, root=str(root), train=("train",), test="val"),
        root,
        "a.xml",
        "train.txt",
        "a.jpg",
        "VOC's",
    )
    path.write_bytes(good)


def write_dogs(root: Path) -> Path:
    write_voc(root, "train", {"a": [("dog", (1, 1, 9, 9), False), ("dog", (9, 9, 60, 40), True)], "b": []})
    write_voc(root, "val", {"c": [("dog", (1, 1, 9, 9), False)]})
    return root


@pytest.mark.parametrize("seed", range(20))
def test_damaged_annotations_of_coco_are_opened_or_refused_by_name(tmp_path: Path, seed: int) -> None:
    coco_case(write_coco(tmp_path), seed)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_annotations_and_lists_of_voc_are_opened_or_refused_by_name(
    tmp_path: Path, seed: int
) -> None:
    voc_case(write_dogs(tmp_path), seed)


@pytest.mark.long
def test_a_thousand_damaged_files_more(tmp_path: Path) -> None:
    one, other = write_coco(tmp_path / "coco"), write_dogs(tmp_path / "voc")
    for seed in range(100, 1100):
        coco_case(one, seed)
        voc_case(other, seed)


NESTED = "<annotation>" + "<object>" * DEEP + "</object>" * DEEP + "</annotation>"
BOMB = (
    "<!DOCTYPE x [<!ENTITY a 'lol'>"
    + "".join(f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 20}'>" for i in range(12))
    + "]><annotation><filename>&m;</filename></annotation>"
)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("Annotations/a.xml", "<?xml version='1.0' encoding='nothere'?><annotation/>"),
        ("Annotations/a.xml", "<annotation><size><width>inf</width><height>9</height></size></annotation>"),
        ("Annotations/a.xml", "<annotation><size><width>1e999</width><height>9</height></size></annotation>"),
        (
            "Annotations/a.xml",
            f"<annotation><size><width>{'9' * 5000}</width><height>9</height></size></annotation>",
        ),
        ("Annotations/a.xml", NESTED),
        ("Annotations/a.xml", BOMB),
        ("Annotations/a.xml", ""),
        ("ImageSets/Main/train.txt", "a\n\0\n"),
        ("ImageSets/Main/train.txt", "a\nno such\n"),
        ("ImageSets/Main/train.txt", ""),
    ],
)
def test_what_once_ended_in_a_traceback_is_refused_by_name(tmp_path: Path, file: str, text: str) -> None:
    root = write_dogs(tmp_path)
    (root / file).write_text(text)

    with pytest.raises(DataError, match=r"a\.xml|train\.txt|no such\.xml"):
        used(replace(VOC, root=str(root), train=("train",), test="val"), root)


@pytest.mark.parametrize("what", ["Annotations/a.xml", "JPEGImages/a.jpg", "ImageSets/Main/train.txt"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "unreadable"])
def test_a_folder_or_a_pipe_in_a_files_place_is_refused_by_name(tmp_path: Path, what: str, kind: str) -> None:
    root = write_dogs(tmp_path)
    (root / what).unlink()
    if kind == "folder":
        (root / what).mkdir()
    elif kind == "pipe":
        os.mkfifo(root / what)
    else:
        (root / what).symlink_to(Path(what).name)  # a link to itself

    with pytest.raises(DataError, match=Path(what).name):
        used(replace(VOC, root=str(root), train=("train",), test="val"), root)


def test_annotations_that_are_a_folder_or_a_pipe_are_refused_by_name(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    path = root / "annotations" / "instances_val.json"
    for make in (Path.mkdir, os.mkfifo):
        path.unlink() if path.is_file() else path.rmdir() if path.is_dir() else None
        make(path)
        with pytest.raises(DataError, match=r"instances_val\.json"):
            used(replace(COCO, root=str(root)), root)


def test_names_that_are_not_utf8_stand_beside_good_ones(tmp_path: Path) -> None:
    root = write_dogs(tmp_path / "dogs")
    Image.new("RGB", (60, 40)).save(os.fsencode(root / "JPEGImages") + b"/caf\xe9.jpg")
    used(replace(VOC, root=str(root), train=("train",), test="val"), root)

    (root / "ImageSets" / "Main" / "train.txt").write_bytes(b"a\ncaf\xe9\n")
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        used(replace(VOC, root=str(root), train=("train",), test="val"), root)


def test_a_root_whose_path_is_not_utf8_is_refused_with_the_remedy(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    write_coco(root)
    write_dogs(root)

    for task in (replace(COCO, root=str(root)), replace(VOC, root=str(root), train=("train",), test="val")):
        with pytest.raises(DataError, match=r"caf\\xe9: the path of this folder is not UTF-8; rename it"):
            used(task, root)


@pytest.mark.parametrize("line", ["a\nb\n\xe9t\xe9", "../trainval", "/etc/passwd", "a b c"])
def test_labels_of_voc_are_refused_alike(tmp_path: Path, line: str) -> None:
    write_voc(tmp_path / "VOC2007", "trainval", {"a": [("dog", (1, 1, 9, 9), False)]})
    write_voc(tmp_path / "VOC2007", "test", {"b": []})
    (tmp_path / "VOC2007" / "ImageSets" / "Main" / "trainval.txt").write_text(line, encoding="latin-1")
    open_voc_labels.cache_clear()

    with pytest.raises(DataError, match=r"trainval\.txt|a b c\.xml"):
        open_voc_labels(tmp_path)
