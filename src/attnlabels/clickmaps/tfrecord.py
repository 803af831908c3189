"""TFRecord files without TensorFlow: their records by number, the features in them, and writing.

A record is its length (8 bytes), that length's checksum (4), the payload, and the payload's
checksum (4); the checksums are CRC-32C, masked (tensorflow/core/lib/io/record_writer.cc). A payload
is a protocol buffer `Example`: named lists of bytes, of floats or of integers
(tensorflow/core/example/feature.proto).
"""

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import google_crc32c
import numpy as np

from attnlabels.files.pointers import refuse_pointer

Feature: TypeAlias = list[bytes] | np.ndarray  # float32 [n] or int64 [n]
HEAD, LENGTH, FOOT = struct.Struct("<QI"), struct.Struct("<Q"), struct.Struct("<I")
GZIP = b"\x1f\x8b"
READ_AT_ONCE = 1 << 20
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protocol buffers' wire types


class Lost(ValueError):
    """A file goes on for `n_bytes`, and where its next record begins cannot be known."""

    def __init__(self, what: str, n_bytes: int) -> None:
        super().__init__(what)
        self.n_bytes = n_bytes


class Records:
    """The records of a file, by number; one pass over their lengths finds where each begins.

    `checked`: a payload whose checksum is wrong is refused, too; lengths are always checked.
    `whole`: so is a file that is cut off, or damaged at a record's length; else its records end
    there, `lost` says why and `n_lost` how many bytes are behind. Raises FileNotFoundError, or
    ValueError for a file that is none or not whole.
    """

    def __init__(self, path: Path, *, checked: bool = True, whole: bool = True) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; put the records there")
        refuse_pointer(path)
        self.path, self.checked, self.lost, self.n_lost = path, checked, "", 0
        offsets = array("q")
        try:
            for offset in _offsets(path):
                offsets.append(offset)
        except Lost as error:
            if whole:
                raise
            self.lost, self.n_lost = str(error), error.n_bytes
        self.offsets = np.array(offsets, np.int64)

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, number: int) -> bytes:
        """The payload of a record. Raises ValueError if its checksum is wrong."""
        with self.path.open("rb") as file:
            file.seek(int(self.offsets[number]))
            return self._payload(file.read(HEAD.size), file, number)

    def __iter__(self) -> Iterator[bytes]:
        """All payloads in their order, read in large pieces."""
        with self.path.open("rb", buffering=READ_AT_ONCE) as file:
            for number in range(len(self)):
                yield self._payload(file.read(HEAD.size), file, number)

    def _payload(self, head: bytes, file: BinaryIO, number: int) -> bytes:
        length, _ = HEAD.unpack(head)
        payload, foot = file.read(length), file.read(FOOT.size)
        if len(payload) < length or len(foot) < FOOT.size:
            raise ValueError(f"{self.path}: became shorter while it was read; leave it alone")
        if self.checked and masked_crc(payload) != FOOT.unpack(foot)[0]:
            raise ValueError(
                f"{self.path}: record {number} is damaged: its checksum is another; fetch it again"
            )
        return payload


def write_records(path: Path, payloads: Iterable[bytes]) -> None:
    """Write payloads, in their order, as the records of the file `path`."""
    with path.open("wb") as file:
        for payload in payloads:
            length = LENGTH.pack(len(payload))
            file.write(length + FOOT.pack(masked_crc(length)))
            file.write(payload + FOOT.pack(masked_crc(payload)))


def masked_crc(data: bytes) -> int:
    """TFRecord's checksum: CRC-32C, rotated and moved, so that of a checksum is no fixed point."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def refuse_compressed(path: Path, head: bytes) -> None:
    """Raises ValueError if a file that begins with `head` is compressed by gzip."""
    if head.startswith(GZIP):
        raise ValueError(f"{path}: is compressed; unpack it first: gzip -d (its name ends in .gz)")


def _offsets(path: Path) -> Iterator[int]:
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        refuse_compressed(path, file.read(len(GZIP)))
        while at < size:
            file.seek(at)
            head = file.read(HEAD.size)
            number = "the first record" if not at else f"the record at byte {at}"
            if len(head) < HEAD.size:
                raise Lost(f"{path}: {number} is cut off; fetch it again", size - at)
            length, crc = HEAD.unpack(head)
            if masked_crc(head[:8]) != crc:
                why = "its length's checksum is another; fetch it again"
                if not at:
                    raise ValueError(f"{path}: no TFRecord file, {why}")
                raise Lost(f"{path}: {number} is damaged, {why}", size - at)
            end = at + HEAD.size + length + FOOT.size
            if end > size:
                missing = f"{end - size} bytes are missing; fetch it again"
                raise Lost(f"{path}: {number} is cut off, {missing}", size - at)
            yield at
            at = end


class Field(NamedTuple):
    """A field of a message: its number, its wire type, and where its value begins and ends."""

    number: int
    wire: int
    start: int
    end: int


def parse_example(payload: bytes) -> dict[str, Feature]:
    """The features of an `Example`, by name; integers may be packed or not.

    Raises ValueError for bytes that are none.
    """
    features: dict[str, Feature] = {}
    try:
        for outer in _messages(payload, 0, len(payload)):  # Features
            for entry in _messages(payload, outer.start, outer.end):  # of its map
                key, feature = b"", None
                for part in _fields(payload, entry.start, entry.end):
                    if part.number == 1:
                        key = payload[part.start : part.end]
                    elif part.number == 2:
                        feature = _feature(payload, part)
                if feature is not None:
                    features[key.decode()] = feature
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("no Example of TensorFlow's, or cut off") from error
    return features


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """An `Example` that holds the features: bytes, float32 or int64, packed, in their order."""
    entries = (
        _field(1, _field(1, name.encode()) + _field(2, _encode_feature(feature)))
        for name, feature in features.items()
    )
    return _field(1, b"".join(entries))


def _encode_feature(feature: Feature) -> bytes:
    if not isinstance(feature, np.ndarray):
        return _field(1, b"".join(_field(1, each) for each in feature))
    if feature.dtype == np.float32:
        return _field(2, _field(1, feature.astype("<f4").tobytes()))
    if feature.dtype == np.int64:
        return _field(3, _field(1, b"".join(map(_encode_varint, feature.tolist()))))
    raise ValueError(f"a feature of {feature.dtype}; expected bytes, float32 or int64")


def _field(number: int, body: bytes) -> bytes:
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(body)) + body


def _encode_varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF  # a negative number is its two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _messages(data: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of number 1, each a message of its own."""
    for each in _fields(data, start, end):
        if each.number == 1:
            if each.wire != BYTES:
                raise ValueError("no Example of TensorFlow's, but another message")
            yield each


def _fields(data: bytes, at: int, end: int) -> Iterator[Field]:
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == BYTES:
            length, at = _varint(data, at)
            stop = at + length
        elif wire == VARINT:
            _, stop = _varint(data, at)
        elif wire in (FIXED32, FIXED64):
            stop = at + (4 if wire == FIXED32 else 8)
        else:
            raise ValueError(f"no Example of TensorFlow's: wire type {wire}")
        if stop > end:
            raise ValueError("no Example of TensorFlow's, or cut off")
        yield Field(number, wire, at, stop)
        at = stop


def _feature(data: bytes, feature: Field) -> Feature | None:
    """What a Feature holds; None if it holds nothing."""
    for kind in _fields(data, feature.start, feature.end):
        values = [each for each in _fields(data, kind.start, kind.end) if each.number == 1]
        if kind.number == 1:
            return [data[each.start : each.end] for each in values]
        if kind.number == 2:
            return np.frombuffer(b"".join(data[each.start : each.end] for each in values), "<f4")
        if kind.number == 3:
            return np.array([n for each in values for n in _integers(data, each)], np.int64)
    return None


def _integers(data: bytes, field: Field) -> Iterator[int]:
    """Those of a packed field, or the one of a plain field."""
    at = field.start
    while at < field.end:
        value, at = _varint(data, at)
        yield value - (1 << 64) if value >> 63 else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a byte, and where the next one begins."""
    value = data[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("no Example of TensorFlow's: a number of more than 64 bits")
