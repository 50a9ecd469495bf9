"""tools/offline.py packs what a node lacks, from an index of made wheels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

from tools import offline
from tools.packing.copies import Unpackable
from tools.packing.installed import installed_in
from tools.packing.wheels import Packing, needed

LISTED = "Package    Version\n---------- -------\nPyYAML     6.0.1\nmy.pkg     1.0 /home/me/my_pkg\n"
FROZEN = "# made\nPyYAML==6.0.1\nmy_pkg @ file:///home/me/my_pkg\n-e git+https://x/y#egg=z\n"
CONDA = "# Name  Version  Build  Channel\npyyaml   6.0.1   py312_0  conda-forge\nmy-pkg  1.0  0\n"
JSON = '[{"name": "PyYAML", "version": "6.0.1"}, {"name": "my.pkg", "version": "1.0"}]'


@pytest.mark.parametrize("text", [LISTED, FROZEN, CONDA, JSON])
def test_what_is_installed_is_read_as_pip_or_conda_print_it(text: str) -> None:
    found = installed_in(text)
    assert set(found) == {"pyyaml", "my-pkg"}
    assert found["pyyaml"] == "6.0.1"


def wheel(folder: Path, name: str, version: str, *needs: str, tag: str = "py3-none-any") -> None:
    folder.mkdir(exist_ok=True)
    said = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    inside = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        archive.writestr(f"{inside}/METADATA", "\n".join(["Metadata-Version: 2.1", *said, "", ""]))
        archive.writestr(f"{inside}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{inside}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks."""
    for name, value in {
        "NO_INDEX": "1",
        "FIND_LINKS": str(tmp_path / "index"),
        "CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return tmp_path / "index"


def packing(folder: Path, installed: dict[str, str]) -> Packing:
    folder.mkdir(exist_ok=True)
    return Packing("3.12", "x86_64", installed, folder)


def test_what_is_missing_there_is_packed_with_what_it_needs_and_torch_never_is(
    index: Path, tmp_path: Path
) -> None:
    elsewhere = "win32only ; sys_platform == 'win32'"
    wheel(index, "outer", "2.0", "inner>=1", "torch>=2", "numbers>=1.26", elsewhere, "extra1 ; extra == 'x'")
    wheel(index, "inner", "1.5", tag="cp312-cp312-manylinux_2_17_x86_64")
    wheel(index, "inner", "1.4", tag="cp311-cp311-manylinux_2_17_x86_64")
    wheel(index, "numbers", "2.0")
    there = packing(tmp_path / "wheels", {"numbers": "1.20", "letters": ""})

    there.add(["outer", "letters>=9", "faiss-cpu", "torchvision>=99"])

    assert {name: str(version) for name, version in there.packed.items()} == {
        "outer": "2.0", "inner": "1.5", "numbers": "2.0",
    }  # fmt: skip
    assert there.remarks == ["numbers 1.20 is there, but numbers>=1.26 is wanted: packed, it goes before"]
    assert len(list((tmp_path / "wheels").glob("*.whl"))) == 3


def test_two_packages_that_want_different_versions_of_a_third_are_refused(tmp_path: Path) -> None:
    there = packing(tmp_path / "wheels", {})
    there.packed["shared"] = Version("1.0")
    there.add(["shared<2"])
    with pytest.raises(Unpackable, match=r"shared>=2 is wanted as well as shared 1\.0"):
        there.add(["shared>=2"])


def test_no_wheel_for_that_python_is_said(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(index, "simplejpeg", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    listed = tmp_path / "node.txt"
    listed.write_text("\n".join(name for name in needed() if "simplejpeg" not in name).replace(">=", "=="))
    assert offline.main(["--out", str(tmp_path / "out"), "--installed", str(listed)]) == 1
    assert "simplejpeg: no wheel for Python 3.12 on x86_64: " in capsys.readouterr().err


@pytest.mark.parametrize(("content", "said"), [(None, "no such file"), ("", "names no package")])
def test_a_list_that_says_nothing_is_refused(
    content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "node.txt"
    if content is not None:
        listed.write_text(content)
    assert offline.main(["--out", str(tmp_path / "out"), "--installed", str(listed)]) == 1
    assert said in capsys.readouterr().err


def test_the_assumed_node_lacks_what_the_suite_needs_but_torch_and_faiss() -> None:
    there = installed_in(offline.ASSUMED.read_text())
    assert {"numpy", "pytest", "timm"} <= set(there)
    assert not {"pydantic", "simplejpeg", "pycocotools", "lightning-fabric"} & set(there)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two splits of two classes, of four files each, 10 kB a file."""
    with zipfile.ZipFile(tmp_path / "small.zip", "w") as archive:
        for split in ("train", "test"):
            for name in "ab":
                for i in range(4):
                    archive.writestr(f"{split}/{name}/{i}.jpg", bytes([i]) * 10_000)
    return tmp_path / "small.zip"


def names(folder: Path) -> list[list[str]]:
    return [zipfile.ZipFile(path).namelist() for path in sorted(folder.iterdir())]


def test_data_is_divided_among_archives_that_fit_and_none_is_lost(images: Path, tmp_path: Path) -> None:
    asked = ["--only-data", "--out", str(tmp_path / "out"), "--data", f"some={images}"]
    assert offline.main([*asked, "--limit", "0.12"]) == 0
    parts = sorted((tmp_path / "out" / "data").iterdir())
    assert [path.name for path in parts] == [f"some-{i}.zip" for i in range(1, len(parts) + 1)]
    assert len(parts) > 1 and all(path.stat().st_size <= 0.12 * 2**20 for path in parts)
    for path in parts:
        zipfile.ZipFile(path).extractall(tmp_path / "there")
    assert len(list((tmp_path / "there").rglob("*.jpg"))) == 16
    assert (tmp_path / "there" / "test" / "b" / "3.jpg").read_bytes() == bytes([3]) * 10_000


def test_fewer_images_of_each_class_may_be_packed(images: Path, tmp_path: Path) -> None:
    asked = ["--only-data", "--out", str(tmp_path / "out"), "--data", f"some={images}", "--images", "1"]
    assert offline.main(asked) == 0
    assert names(tmp_path / "out" / "data") == [
        [f"{split}/{c}/0.jpg" for split in ("train", "test") for c in "ab"]
    ]


def test_data_that_is_no_archive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert offline.main(["--only-data", "--out", str(tmp_path), "--data", f"x={tmp_path}/none.zip"]) == 1
    assert "is no zip archive" in capsys.readouterr().err
