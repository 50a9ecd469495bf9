"""Check an archive of torch.save before it is mapped: whole, uncompressed, its bytes as written."""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from pathlib import Path

from hsa_bench.core.checkpoints.reading.pickle_scan import Seen, scan
from hsa_bench.core.errors import DamagedArchive

ENTRIES = 200_000
"""Most records of an archive; a checkpoint has some thousands."""

PICKLE_BYTES = 2**28
"""Largest `data.pkl`, which holds names and shapes, not tensors."""

_LOCAL = struct.Struct("<4s22xHH")


def check_archive(path: Path) -> Seen:
    """Refuse an archive that is damaged, or made to unpack into more than it is.

    Every record's checksum is compared: mapped tensors are else used as they are, with whatever bits have
    changed. Archives written without checksums (`set_crc32_options(False)`) agree nowhere and pass.

    Returns:
        What its pickle is.

    Raises:
        DamagedArchive: Records overlap, are compressed, lie outside, or differ from their checksums.
        UnsafePickle: See `pickle_scan`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            _check_list(records, path.stat().st_size)
            wrong = _changed(path, records)
            if wrong and len(wrong) < len([r for r in records if r.file_size]):
                raise DamagedArchive(
                    f"damaged: record {wrong[0]} is not as it was written; copy the file again"
                )
            index = _index(records)
            if index.file_size > PICKLE_BYTES:
                raise DamagedArchive(f"its index of {index.file_size:,} bytes is none of a checkpoint")
            with archive.open(index) if not wrong else _unchecked(path, index) as stream:
                return scan(stream)
    except (
        zipfile.BadZipFile,
        StopIteration,
        ValueError,
        OSError,
        struct.error,
        NotImplementedError,
    ) as error:
        if isinstance(error, ValueError) and type(error) is not ValueError:
            raise
        raise DamagedArchive(f"damaged or cut off ({str(error)[:100] or 'no index'})") from error


def _index(records: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """The record that says what all others are; of two, torch might read the one that was not scanned."""
    found = [record for record in records if record.filename.endswith("/data.pkl")]
    if len(found) > 1:
        raise DamagedArchive("damaged: has two indices, of which torch.save writes one")
    return next(iter(found))


def _check_list(records: list[zipfile.ZipInfo], size: int) -> None:
    if len(records) > ENTRIES:
        raise DamagedArchive(f"has {len(records):,} records, more than any checkpoint")
    if len({record.filename for record in records}) < len(records):
        raise DamagedArchive("damaged: names two records alike")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise DamagedArchive("is compressed, as torch.save never does; unpack it and save it again")
    if sum(record.file_size for record in records) > size:
        raise DamagedArchive("claims more bytes than it has")


def _changed(path: Path, records: list[zipfile.ZipInfo]) -> list[str]:
    """Names of records whose bytes do not have their checksum."""
    wrong = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        whole = memoryview(held)
        try:
            for record in records:
                start = _start(held, record)
                if start + record.file_size > len(held):
                    raise DamagedArchive(f"cut off: record {record.filename} ends behind the file's end")
                if record.file_size and _checksum(whole[start : start + record.file_size]) != record.CRC:
                    wrong.append(record.filename)
        finally:
            whole.release()
    return wrong


def _checksum(data: memoryview) -> int:
    total = 0
    for low in range(0, len(data), 2**24):
        part = data[low : low + 2**24]
        total = zlib.crc32(part, total)
        part.release()
    data.release()
    return total


def _start(held: mmap.mmap, record: zipfile.ZipInfo) -> int:
    mark, name, extra = _LOCAL.unpack_from(held, record.header_offset)
    if mark != b"PK\x03\x04":
        raise DamagedArchive(f"damaged: no record {record.filename} where the list says")
    return record.header_offset + _LOCAL.size + name + extra


def _unchecked(path: Path, record: zipfile.ZipInfo):  # type: ignore[no-untyped-def]  # a stream
    import io

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        start = _start(held, record)
        return io.BytesIO(held[start : start + record.file_size])
