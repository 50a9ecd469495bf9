"""Files made to harm: nothing of them runs, and each is refused in bounded time and memory."""

from __future__ import annotations

import argparse
import os
import pickle
import random
import resource
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hsa_bench.core.checkpoints.detectron2_names import to_detectron2
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.reading.safe_read import safe_read
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError, ReadError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import weights_hash

ARCH = "resnet18-w8-cifar"
SECONDS = 5.0


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def nested(levels: int) -> bytes:
    """t = (t, t), over and over, as a dict's key: hashing it takes 2^levels steps."""
    steps = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(levels))
    return b"\x80\x02})" + steps + b"K\x01s."


def deep(levels: int) -> bytes:
    """A tuple in a tuple in a tuple …, whose hash recurses in C."""
    return b"\x80\x02})" + b"\x85" * levels + b"K\x01s."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nested(60), "nests tuples"),
        (deep(1_000_000), "nests tuples"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "out of order"),
        (b"\x80\x04" + b"}0" * 2_000_000 + b"N.", "more than 2,000,000 steps"),
        (b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"x.", "damaged"),
        (b"\x80\x04cos\nsystem\n(Vtouch executed\ntR.", r"posix\.system|os\.system"),
        (
            b"\x80\x02ctorch.storage\n_load_from_bytes\n(B\x01\x00\x00\x00xtR.",
            r"torch\.storage\._load_from_bytes",
        ),
        (b"\x80\x02cbuiltins\neval\n(Vopen('executed','w')\ntR.", r"builtins\.eval"),
        (b"\x80\x02cbuiltins\ngetattr\n.", r"builtins\.getattr"),
        (b"\x80\x02Vx\nQ.", "reference to something outside"),
    ],
)
def test_a_pickle_made_to_harm_is_refused(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(content)
    start = time.monotonic()
    with pytest.raises(ReadError, match=message):
        safe_read(Path("bad.pkl"))
    assert time.monotonic() - start < 4 * SECONDS
    assert not Path("executed").exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_class_of_ones_own_is_named_with_a_conversion(
    legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ReadError, match=r"holds \w+\.system(.|\n)*weights_only=False") as refusal:
        safe_read(Path("evil.pth"))
    assert len(str(refusal.value).splitlines()) == 5
    assert not Path("executed").exists()


def test_the_conversion_that_is_suggested_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nested = {"base_model": {"trunk": {"conv1.weight": torch.ones(2)}, "config": Custom()}}
    torch.save({"classy_state_dict": nested, "arch": "r", "cfg": Custom()}, "odd.pth")
    with pytest.raises(ReadError) as refusal:
        safe_read(Path("odd.pth"))
    code = "\n".join(line.strip() for line in str(refusal.value).splitlines()[1:])
    exec(code, {})
    held = safe_read(Path("odd.tensors.pth"))
    assert set(held) == {"classy_state_dict", "arch"}
    assert list(held["classy_state_dict"]["base_model"]) == ["trunk"]


def test_a_whole_model_is_converted_by_what_is_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(torch.nn.Linear(2, 3), "whole.pth")
    with pytest.raises(ReadError) as refusal:
        safe_read(Path("whole.pth"))
    exec("\n".join(line.strip() for line in str(refusal.value).splitlines()[1:]), {})
    assert set(safe_read(Path("whole.tensors.pth"))) == {"weight", "bias"}


class Custom:
    """Harmless, but unknown."""


def test_harmless_classes_of_real_files_are_read(tmp_path: Path) -> None:
    held = {
        "args": argparse.Namespace(arch="vit", out=Path("x")),
        "best": np.float64(3.5),
        "step": np.int32(3),
        "log": np.arange(3.0),
        "w": torch.ones(2),
    }
    for legacy in (False, True):
        torch.save(held, tmp_path / "f.pth", _use_new_zipfile_serialization=not legacy)
        found = safe_read(tmp_path / "f.pth")
        assert found["args"].arch == "vit"
        assert found["best"] == 3.5
        assert found["log"].tolist() == [0, 1, 2]


def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "f.pth")
    with pytest.raises(ReadError, match="claims 4,000,000,000,000 bytes"):
        safe_read(tmp_path / "f.pth")


def test_a_file_that_claims_a_hundred_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1000)}, tmp_path / "f.pth", _use_new_zipfile_serialization=False)
    raw = (tmp_path / "f.pth").read_bytes()
    claim = (25 * 10**9).to_bytes(5, "little")
    forged = raw.replace(b"M\xe8\x03", b"\x8a\x05" + claim)
    assert forged != raw
    (tmp_path / "f.pth").write_bytes(forged)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ReadError, match="damaged"):
        safe_read(tmp_path / "f.pth")
    header = b'{"w":{"dtype":"F32","shape":[25000000000],"data_offsets":[0,100000000000]}}'
    (tmp_path / "f.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 16)
    with pytest.raises(ReadError, match="damaged"):
        safe_read(tmp_path / "f.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_compressed_or_overlapping_archive_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(10**6)}, tmp_path / "f.pth")
    with zipfile.ZipFile(tmp_path / "f.pth") as plain:
        with zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as packed:
            for name in plain.namelist():
                packed.writestr(name, plain.read(name))
        with zipfile.ZipFile(tmp_path / "twice.pth", "w") as twice:
            for name in plain.namelist():
                twice.writestr(name, plain.read(name))
            with pytest.warns(UserWarning, match="Duplicate"):
                twice.writestr(plain.namelist()[0], b"other")
    with pytest.raises(ReadError, match="is compressed"):
        safe_read(tmp_path / "c.pth")
    with pytest.raises(ReadError, match="two records alike"):
        safe_read(tmp_path / "twice.pth")


def test_folders_devices_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ReadError, match=r"is a folder; .*for example model\.safetensors"):
        safe_read(tmp_path)
    with pytest.raises(ReadError, match="no regular file"):
        safe_read(Path("/dev/zero"))
    with pytest.raises(ReadError, match="no such file"):
        safe_read(tmp_path / "absent.pth")
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as script:
        for name in ("s/data.pkl", "s/constants.pkl", "s/code/__torch__.py"):
            script.writestr(name, b"x")
    with pytest.raises(ReadError, match="TorchScript"):
        safe_read(tmp_path / "script.pt")
    np.savez(tmp_path / "jax.npz", w=np.ones(2))
    with pytest.raises(ReadError, match="NumPy archive"):
        safe_read(tmp_path / "jax.npz")


def test_a_changed_bit_in_an_archive_is_noticed(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(1000.0), "v": torch.ones(3)}, tmp_path / "f.pth")
    raw = bytearray((tmp_path / "f.pth").read_bytes())
    raw[raw.find(torch.arange(1000.0).numpy().tobytes()[100:140])] ^= 1
    (tmp_path / "f.pth").write_bytes(raw)
    with pytest.raises(ReadError, match="not as it was written"):
        safe_read(tmp_path / "f.pth")


def test_an_archive_is_mapped_and_held_once(tmp_path: Path) -> None:
    big = torch.ones(50_000_000)
    torch.save({"optimizer": {"big": big}, "w": torch.ones(3)}, tmp_path / "f.pth")
    del big
    before = _private_kib()
    held = safe_read(tmp_path / "f.pth")
    assert _private_kib() - before < 50_000  # the file has 200 MB
    assert held["w"].tolist() == [1, 1, 1]


def _private_kib() -> int:
    """Memory of this process that no file backs."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def originals(folder: Path) -> list[tuple[Path, str]]:
    """A file of each kind of container, and the hash of its trunk."""
    trunk = build(ARCH, 3)
    state = trunk.state_dict()
    torch.save({"state_dict": state, "epoch": 3, "args": argparse.Namespace(a=1)}, folder / "zip.pth")
    torch.save({"state_dict": state}, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file

    save_file(state, folder / "safe.safetensors")
    arrays = {k: v.numpy() for k, v in to_detectron2(state).items()}
    (folder / "d2.pkl").write_bytes(pickle.dumps({"model": arrays, "matching_heuristics": True}))
    paths = sorted(folder.iterdir())
    return [(path, open_backbone(BackboneRequest(label="x", path=str(path))).weights) for path in paths]


def mutations(rng: random.Random, raw: bytes, other: bytes) -> bytes:
    """One way to damage a file."""

    def flipped(count: int, end: int) -> bytes:
        changed = bytearray(raw)
        for _ in range(count):
            changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
        return bytes(changed)

    cut = rng.randrange(len(raw))
    ways: list[Callable[[], bytes]] = [
        lambda: flipped(1, len(raw)),
        lambda: flipped(rng.randrange(1, 20), min(len(raw), 20_000)),
        lambda: flipped(rng.randrange(1, 200), len(raw)),
        lambda: raw[:cut],
        lambda: raw[:cut] + other[cut:],
        lambda: raw[cut:] + raw[:cut],
        lambda: raw[:cut] + bytes(rng.randrange(256) for _ in range(50)) + raw[cut:],
        lambda: raw[-20_000:] if rng.random() < 0.5 else raw[:-20_000] + flipped(3, len(raw))[-20_000:],
    ]
    return rng.choice(ways)()


def fuzz(folder: Path, count: int) -> dict[str, int]:
    """Load damaged files; each is refused, or gives a network, in time."""
    rng = random.Random(0)
    files = originals(folder)
    ends: dict[str, int] = {"refused": 0, "unchanged": 0, "changed": 0}
    for _ in range(count):
        (path, weights), (other, _) = rng.choice(files), rng.choice(files)
        target = folder / f"mutated{path.suffix}"
        target.write_bytes(mutations(rng, path.read_bytes(), other.read_bytes()))
        start = time.monotonic()
        try:
            found = open_backbone(BackboneRequest(label="x", path=str(target))).weights
        except CheckpointError:  # anything else ends the test
            found = ""
        assert time.monotonic() - start < SECONDS, target
        ends["refused" if not found else "unchanged" if found == weights else "changed"] += 1
        if found and path.name == "zip.pth":
            assert found == weights, "a damaged archive gave other weights"
    assert not Path("executed").exists()
    return ends


def test_damaged_files_are_refused_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ends = fuzz(tmp_path, 60)
    assert ends["refused"] > 20


@pytest.mark.long
def test_two_thousand_damaged_files_are_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ends = fuzz(tmp_path, 2_000)
    print(ends)
    assert sum(ends.values()) == 2_000
    assert ends["refused"] > 800


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_every_protocol_of_pickle_is_read_alike(protocol: int, legacy: bool, tmp_path: Path) -> None:
    trunk = build(ARCH, 3)
    shared = torch.arange(12.0)
    held = {
        "state_dict": trunk.state_dict(),
        "args": argparse.Namespace(arch="vit", out=Path("x"), lr=0.1),
        "best": np.float64(3.5),
        "log": np.arange(3.0),
        "tags": {"a", "b"},
        "raw": b"\x00\xff",
        "half": torch.ones(2, dtype=torch.bfloat16),
        "rows": (shared, shared[4:8].view(2, 2).t()),
        "kind": torch.float16,
        "size": torch.ones(2, 3).shape,
        "weight": torch.nn.Parameter(torch.ones(2)),
    }
    path = tmp_path / "f.pth"
    torch.save(held, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)

    found = safe_read(path)

    assert found["args"].arch == "vit" and found["best"] == 3.5 and found["tags"] == {"a", "b"}
    assert found["raw"] == b"\x00\xff" and found["log"].tolist() == [0, 1, 2]
    assert torch.equal(found["rows"][1], shared[4:8].view(2, 2).t()) and found["kind"] is torch.float16
    backbone = open_backbone(BackboneRequest(label="x", path=str(path)))
    assert backbone.weights == weights_hash(trunk)


class Attribute:
    """An object whose state is set on a class: what an unpickler without a list would do."""

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (), (None, {"x": 1})


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("held", [Evil(), os.system, os.path.join, Attribute(), "custom"])
def test_nothing_of_a_newer_pickle_is_run(
    held: object, protocol: int, legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    held = Custom() if held == "custom" else held
    torch.save({"a": held}, "f.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)

    with pytest.raises(ReadError, match=r"refused, nothing of it was run: it holds "):
        safe_read(Path("f.pth"))

    assert not Path("executed").exists()


class Kind:
    """Python's objects by flags of the file's own: 0 for plain bytes, 1 for freed objects."""

    def __init__(self, flags: int) -> None:
        self.flags = flags

    def __reduce__(self) -> tuple[object, ...]:
        return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, self.flags)


class Addresses:
    """An array of Python's objects that lie where the file says."""

    def __init__(self, flags: int) -> None:
        self.flags = flags

    def __reduce__(self) -> tuple[object, ...]:
        made = np.zeros(1).__reduce__()[0]
        return made, (np.ndarray, (0,), b"b"), (1, (1,), Kind(self.flags), False, b"A" * 8)


@pytest.mark.parametrize("form", ["archive", "legacy", "pickle"])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("flags", [0, 1])
def test_no_number_of_a_file_becomes_an_address(flags: int, protocol: int, form: str, tmp_path: Path) -> None:
    path = tmp_path / ("f.pkl" if form == "pickle" else "f.pth")
    held = {"w": torch.ones(2), "x": Addresses(flags)}
    if form == "pickle":
        path.write_bytes(pickle.dumps({"x": Addresses(flags)}, protocol=protocol))
    else:
        archive = form == "archive"
        torch.save(held, path, pickle_protocol=protocol, _use_new_zipfile_serialization=archive)

    with pytest.raises(ReadError, match="changes how a kind of numbers lies in memory"):
        safe_read(path)


def test_numpys_numbers_are_read_as_they_are(tmp_path: Path) -> None:
    held = {
        **{kind: np.ones(2, kind) for kind in "?bBhHiIlLqQefdg"},
        "text": np.array(["a", "bc"]),
        "bytes": np.array([b"a"]),
        "objects": np.array(["a", None], object),
        "turned": np.ones(2, ">f4"),
        "scalar": np.float32(0.5),
    }
    for protocol in (2, 4):
        torch.save(held, tmp_path / "f.pth", pickle_protocol=protocol)
        found = safe_read(tmp_path / "f.pth")
        for name, value in held.items():
            assert found[name].dtype == value.dtype.newbyteorder("=")  # as numpy reads it
            assert np.array_equal(found[name], value), name


def test_an_archive_with_two_indices_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "f.pth")
    with zipfile.ZipFile(tmp_path / "f.pth", "a") as archive:
        archive.writestr("g/data.pkl", pickle.dumps({}, protocol=2))

    with pytest.raises(ReadError, match="two indices"):
        safe_read(tmp_path / "f.pth")


def test_arrays_of_every_protocol_are_read(tmp_path: Path) -> None:
    for protocol in range(6):
        (tmp_path / "f.pkl").write_bytes(pickle.dumps({"w": np.arange(6.0).reshape(2, 3)}, protocol=protocol))
        if protocol >= 2:
            assert safe_read(tmp_path / "f.pkl")["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_newer_archive_is_mapped_too(tmp_path: Path) -> None:
    big = torch.ones(50_000_000)
    torch.save({"optimizer": {"big": big}, "w": torch.ones(3)}, tmp_path / "f.pth", pickle_protocol=4)
    del big
    before = _private_kib()
    held = safe_read(tmp_path / "f.pth")
    assert _private_kib() - before < 50_000
    assert held["w"].tolist() == [1, 1, 1]
