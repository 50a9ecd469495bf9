"""What kind of file this is, by its first bytes, never its name; and what to do where it is no checkpoint."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

LEGACY_MARK = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickle of torch's magic number, at the head of files from before 1.6."""

MAGIC = LEGACY_MARK[2:-1]
"""torch's magic number as every protocol of pickle has it."""

PACKED = (b"\x1f\x8b", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")
"""First bytes of gzip, xz, bzip2, zstd, 7z."""

HEADER_BYTES = 100_000_000
"""Longest safetensors header, as the format's own reader has it."""


class Kind(Enum):
    """A kind of file; those with a container can be read."""

    ARCHIVE = "an archive of torch.save"
    LEGACY = "a file of torch.save from before 1.6"
    SAFETENSORS = "a safetensors file"
    PICKLE = "a pickle"
    MISSING = "no such file"
    FOLDER = "is a folder; name the checkpoint file in it"
    DEVICE = "is no regular file"
    EMPTY = "is empty; the download or the copy did not finish"
    LFS = "is a Git LFS pointer, not the file itself: run git lfs pull where it came from"
    HTML = "is a web page, not a checkpoint: the download led to a page; open the address in a browser"
    TEXT = "is a text file, not a checkpoint"
    NPZ = "is a NumPy archive, as JAX models are; convert it by its own repository, or name it timm:NAME"
    SCRIPT = "is a TorchScript program; save its state_dict() with torch.save and pass that file"
    ZIP = "is a zip archive, but not one of torch.save; unpack it and name the checkpoint in it"
    COMPRESSED = "is compressed; unpack it first (gunzip, unxz, tar -x)"
    HDF5 = "is an HDF5 (Keras) file, which is not read; convert it to torch or safetensors"
    UNKNOWN = "is no checkpoint: neither of torch.save, nor safetensors, nor a pickle"

    @property
    def container(self) -> str:
        """Who writes such files."""
        return {"SAFETENSORS": "safetensors", "PICKLE": "pickle"}.get(self.name, "torch")


def kind_of(path: Path) -> Kind:
    """The kind of a file, told by at most its first bytes and a zip archive's list of contents."""
    if path.is_dir():
        return Kind.FOLDER
    if not path.exists():
        return Kind.MISSING
    if not path.is_file():
        return Kind.DEVICE
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return Kind.EMPTY
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    if head.startswith(LEGACY_MARK) or MAGIC in head[:32]:
        return Kind.LEGACY
    return _kind_of_bytes(head)


def _kind_of_bytes(head: bytes) -> Kind:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length <= HEADER_BYTES:
        return Kind.SAFETENSORS
    if head[0] == 0x80 and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return Kind.PICKLE
    if head.startswith(PACKED) or b"ustar" in head:
        return Kind.COMPRESSED
    if head.startswith(b"\x89HDF"):
        return Kind.HDF5
    return _kind_of_text(head)


def explain(kind: Kind, path: Path) -> str:
    """Why such a file is not read, and the remedy."""
    if kind is Kind.FOLDER:
        inside = sorted(
            p.name for end in ("safetensors", "bin", "pth", "pt", "ckpt") for p in path.glob(f"*.{end}")
        )
        return f"{kind.value}, for example {inside[0]}" if inside else kind.value
    return kind.value


def _kind_of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, UnicodeError):
        return Kind.ARCHIVE  # its reader says how it is damaged
    if any("/code/" in name for name in names) and any(name.endswith("constants.pkl") for name in names):
        return Kind.SCRIPT
    if any(name.endswith("data.pkl") for name in names):
        return Kind.ARCHIVE
    return Kind.NPZ if names and all(name.endswith(".npy") for name in names) else Kind.ZIP


def _kind_of_text(head: bytes) -> Kind:
    try:
        text = head.decode("utf-8", errors="strict" if len(head) < 512 else "ignore")
    except UnicodeDecodeError:
        return Kind.UNKNOWN
    if text.startswith("version https://git-lfs"):
        return Kind.LFS
    if text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return Kind.HTML
    return Kind.TEXT if text.isprintable() or not set(text) - set(map(chr, range(9, 127))) else Kind.UNKNOWN
