from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.presets import presets_in, read_mapping
from hsa_bench.core.input.yaml_text import MOST_BYTES, parse_yaml, read_yaml_file
from hsa_bench.core.models.preprocess import parse_card
from hsa_bench.suite.make_job import PRESETS, make_job
from hsa_bench.suite.options import parse_task_settings
from hsa_bench.suite.read_ablation import ABLATIONS, read_ablation
from pretrain.preset import PRESETS as OF_PRETRAINING
from pretrain.preset import read_preset

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(f'*{old}' for _ in range(9))}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)  # fmt: skip

TEXTS = {
    "limit: 20\nset: {}\nlimit: 40\n": "line 3: the key 'limit' stands there twice, first in line 1",
    "set:\n  knn.k: 3\n  knn.k: 4\n": "line 3: the key 'knn.k' stands there twice",
    "pretrain: {backbones: {a: {lr: 1.0, lr: 2.0}}}\n": "line 1: the key 'lr' stands there twice",
    "dataset: [digits": "not YAML (line 1, column",
    "dataset: {digits": "not YAML (line 1, column",
    "dataset: *x": "undefined alias",
    "dataset: !!python/object/apply:os.getcwd []": "could not determine a constructor",
    "dataset: !mine x": "could not determine a constructor",
    "dataset: " + "[" * 3000 + "]" * 3000: "levels deep",
    "dataset: " + "[" * 3000: "levels deep",
    "".join(f"{' ' * i}a:\n" for i in range(200)): "levels deep",
    "limit: " + "9" * 6000: "4300 digits",
    "dataset: !!bool x": "a value cannot be read",
    "dataset: !!timestamp x": "a value cannot be read",
    "dataset: !!map [a]": "a mapping is wanted",
    "? [a, b]\n: c": "a key is a list",
    "{{dataset}}: x": "a key is a list or a mapping",
    "dataset: a\tb\x00": "not YAML",
    "dataset: &x [*x]": "an alias stands inside what it repeats",
    BOMB: "values, with those that aliases repeat",
    "a: 1\n--- b: 2\n": "not YAML",
    "dataset: x\n---\ndataset: y\n": "expected a single document",
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=[text[:30] for text in TEXTS])
def test_a_fault_is_one_sentence_that_names_file_or_option(text: str, tmp_path: Path) -> None:
    path = tmp_path / "their.yaml"
    path.write_text(text, encoding="utf-8")
    for read in (read_yaml_file, lambda p: make_job(str(p), {}, []), lambda p: read_ablation(str(p)),
                 lambda p: read_preset(str(p))):  # fmt: skip
        with pytest.raises(UsageError) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path}: ") and TEXTS[text] in str(refused.value)
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "value", ["[", "{", "*x", "!!python/name:os.abort", "!!bool x", "[" * 3000, "9" * 6000]
)
def test_values_of_options_are_read_alike(value: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_task_settings([f"linear.epochs={value}"])
    assert str(refused.value).startswith("--set linear.epochs=") and len(str(refused.value)) < 500
    with pytest.raises(UsageError, match="--card"):
        parse_card([f"mean={value}"])


def test_plain_text_is_read_without_surprises() -> None:
    text = (
        "{a: 1:30, b: 2020-13-45, c: 2020-01-02, d: 010, e: 1_000, f: 0x1F, g: 5.0e-4, h: .5, i: -3, j: 08}"
    )
    assert parse_yaml(text, "x") == {
        "a": "1:30", "b": "2020-13-45", "c": "2020-01-02", "d": 10, "e": 1000, "f": 31, "g": 5e-4, "h": 0.5,
        "i": -3, "j": 8,
    }  # fmt: skip
    assert parse_yaml("{base: &b {x: 1, y: 2}, one: {<<: *b, y: 3}}", "x")["one"] == {"x": 1, "y": 3}
    assert parse_yaml("", "x") is None
    with pytest.raises(UsageError, match=r"field limit: Input should be a valid integer"):
        make_job("", {"arch": "resnet18", "limit": parse_yaml("1:30", "x")}, [])


@pytest.mark.parametrize("folder", [PRESETS, ABLATIONS, OF_PRETRAINING])
def test_what_ships_is_read_as_pyyaml_reads_it(folder: Path) -> None:
    import yaml

    for path in presets_in(folder).values():
        assert read_yaml_file(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dataset: größe".encode("utf-16"), "not UTF-8 text (byte 0xff at 0); save it as UTF-8"),
        ("dataset: größe".encode("latin-1"), "not UTF-8 text (byte 0xf6 at 11)"),
        (bytes(range(256)), "not UTF-8 text"),
        (b"a: " + b"x" * MOST_BYTES, "a file of settings has at most 262,144"),
    ],
)
def test_a_file_that_is_no_text_or_too_large_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "their.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        make_job(str(path), {}, [])
    assert str(refused.value).startswith(f"{path}: ") and message in str(refused.value)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("\ufeffdataset: größe\n", encoding="utf-8")
    assert read_mapping(path, "x") == {"dataset": "größe"}


def test_very_many_values_are_refused_before_anything_is_made_of_them() -> None:
    start = process_time()
    with pytest.raises(UsageError, match=r"more than 20,000"):
        parse_yaml("a: [" + "x, " * 60_000 + "x]", "x")
    assert process_time() - start < 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1: x", r"field 1: a field's name is a word"),
        ("set: [a]", r"field set: Input should be a valid dictionary"),
        ("set: 3", r"field set: Input should be a valid dictionary"),
        ("set: {1: 2}", r"field set\.1: Input should be a valid string"),
        ("tasks: []", r"field tasks: .*at least 1"),
        ("seeds: []", r"field seeds: there is none"),
        ("seeds: [0, 0]", r"field seeds: 0 stands there twice"),
        ("seeds: [-1]", r"field seeds\.0: .*greater than or equal to 0"),
        ("pretrain: {seeds: []}", r"field pretrain\.seeds: there is none"),
        ("pretrain: {arch: resnet18, backbones: {a: {seeds: [x]}}}",
         r"field pretrain\.backbones: a\.seeds\.0: Input should be a valid integer.*not 'x'"),
        ("pretrain: {arch: resnet18, backbones: {a: {seeds: 3}}}", r"field pretrain\.backbones: a\.seeds: "),
        ("pretrain: {arch: resnet18, backbones: {a: {seeds: [1, 1]}}}",
         r"field pretrain\.backbones: a\.seeds: 1 stands there twice"),
        ("pretrain: {arch: resnet18, backbones: {1: {}}}", r"field pretrain\.backbones\.1: "),
        ("limit: -1", r"field limit: .*greater than or equal to 1"),
        ("limit: 0", r"field limit: .*greater than or equal to 1"),
        ("image_size: -1", r"field image_size: "),
        ("image_size: 99999999999999999999", r"field image_size: "),
        ("random_controls: -1", r"field random_controls: "),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"{text}\n" + ("" if "dataset" in text else "dataset: digits\n"), encoding="utf-8")
    with pytest.raises(UsageError, match=rf"mine\.yaml, {message}"):
        make_job(str(path), {"arch": "resnet18"}, [])


def test_set_with_nothing_under_it_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("dataset: digits\nset:\n  # knn.k: 3\n", encoding="utf-8")
    assert make_job(str(path), {"arch": "resnet18"}, ["knn.k=4"]).settings == {"knn.k": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1: x", r"field 1: a field's name is a word"),
        ("settings: {1: x}", r"field settings\.1: "),
        ("settings: [a]", r"field settings: "),
    ],
)
def test_a_preset_of_pretraining_names_the_field(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=rf"mine\.yaml, {message}"):
        read_preset(str(path))


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-here/x.yaml", "/dev/zero", "."])
def test_a_preset_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        make_job(name, {}, [])
