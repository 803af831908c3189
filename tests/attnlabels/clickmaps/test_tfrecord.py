import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlabels.clickmaps.tfrecord import (
    Records,
    encode_example,
    masked_crc,
    parse_example,
    write_records,
)


def write(path: Path, *records: dict[str, tuple[Any, str]]) -> Path:
    """Examples as the package `tfrecord` writes them."""
    tfrecord = pytest.importorskip("tfrecord", reason="it writes what is read; pip install it")
    writer = tfrecord.TFRecordWriter(str(path))
    for each in records:
        writer.write(each)
    writer.close()
    return path


def frame(payload: bytes) -> bytes:
    """A record as TensorFlow frames it."""
    head = struct.pack("<Q", len(payload))
    feet = (struct.pack("<I", masked_crc(each)) for each in (head, payload))
    return head + next(feet) + payload + next(feet)


def test_the_checksum_is_that_of_the_rfc_masked() -> None:
    # RFC 3720 B.4: 32 bytes of zeros have CRC-32C 8a9136aa.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_what_another_package_wrote_is_read_in_any_order(tmp_path: Path) -> None:
    heat = np.linspace(0, 1, 16, dtype=np.float32)
    path = write(
        tmp_path / "a.tfrecords",
        {"image": (b"\xff\xd8 jpeg", "byte"), "label": (3, "int")},
        {"heatmap": (heat.tolist(), "float"), "bbox": ([1, -2, 300, 2**40], "int")},
    )
    records = Records(path)
    assert len(records) == 2
    second, first = (parse_example(records[i]) for i in (1, 0))
    assert first["image"] == [b"\xff\xd8 jpeg"] and first["label"].tolist() == [3]
    assert second["heatmap"].dtype == np.float32 and np.array_equal(second["heatmap"], heat)
    assert second["bbox"].tolist() == [1, -2, 300, 2**40]
    assert [parse_example(each).keys() for each in records] == [first.keys(), second.keys()]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def example(name: str, feature: bytes) -> bytes:
    return field(1, field(1, field(1, name.encode()) + field(2, feature)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_integers_may_be_packed_or_not(values: list[int]) -> None:
    packed = field(3, field(1, b"".join(map(varint, values))))
    plain = field(3, b"".join(varint(1 << 3) + varint(each) for each in values))
    for feature in (packed, plain):
        assert parse_example(example("n", feature))["n"].tolist() == values


def test_floats_may_be_packed_or_not() -> None:
    values = [0.0, -1.5, 3e7]
    packed = field(2, field(1, struct.pack("<3f", *values)))
    plain = field(2, b"".join(varint(1 << 3 | 5) + struct.pack("<f", each) for each in values))
    for feature in (packed, plain):
        assert parse_example(example("x", feature))["x"].tolist() == values


def test_an_empty_list_is_there_and_a_feature_that_holds_nothing_is_not() -> None:
    assert parse_example(example("heatmap", field(1, b"")))["heatmap"] == []
    assert parse_example(example("heatmap", b"")) == {}
    assert parse_example(b"") == {}


@pytest.mark.parametrize("data", [b"\x08\x01", b"\xff" * 12, b"\x0a\x05ab", b"\x0b", b"\x0a"])
def test_other_bytes_are_no_example(data: bytes) -> None:
    with pytest.raises(ValueError, match="no Example of TensorFlow's"):
        parse_example(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_example_or_refused(data: bytes) -> None:
    try:
        parse_example(data)
    except ValueError as error:
        assert "no Example" in str(error)


def test_a_last_record_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    whole = frame(b"one") + frame(b"second")
    for missing in (1, 5, 9, 20):
        path.write_bytes(whole[:-missing])
        with pytest.raises(ValueError, match="the record at byte 19 is cut off.*fetch it again"):
            Records(path)
    path.write_bytes(frame(b"one")[:-1])
    with pytest.raises(ValueError, match="the first record is cut off, 1 bytes are missing"):
        Records(path)


def test_a_damaged_payload_is_named_by_number_and_can_be_let_pass(tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = bytearray(frame(b"one") + frame(b"second"))
    data[19 + 12] ^= 1
    path.write_bytes(data)
    records = Records(path)
    assert records[0] == b"one"
    for read in (lambda: records[1], lambda: list(records)):
        with pytest.raises(ValueError, match="a: record 1 is damaged"):
            read()
    assert Records(path, checked=False)[1] == b"recond"


def test_a_damaged_length_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = bytearray(frame(b"one") + frame(b"second"))
    data[19] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="the record at byte 19 is damaged"):
        Records(path)


@pytest.mark.parametrize("data", [b"not a record at all", bytes(40)])
def test_another_file_is_no_tfrecord_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="a: no TFRecord file"):
        Records(path)


def test_a_compressed_file_says_how_to_unpack_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(frame(b"one")))
    with pytest.raises(ValueError, match="is compressed; unpack it first: gzip -d"):
        Records(path)


def test_an_empty_file_holds_no_records_and_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert len(Records(tmp_path / "a")) == 0
    with pytest.raises(FileNotFoundError, match="b: no such file"):
        Records(tmp_path / "b")


def test_what_is_written_another_package_reads(tmp_path: Path) -> None:
    tfrecord = pytest.importorskip("tfrecord", reason="it reads what is written; pip install it")
    heat = np.linspace(0, 1, 16, dtype=np.float32)
    numbers = np.array([1, -2, 300, 2**40], np.int64)
    written = [{"image": [b"\xff\xd8"], "heatmap": heat, "bbox": numbers}, {"image": [b""]}]
    path = tmp_path / "a.tfrecords"
    write_records(path, map(encode_example, written))
    first, second = tfrecord.tfrecord_loader(str(path), None)
    assert bytes(first["image"]) == b"\xff\xd8" and bytes(second["image"]) == b""
    assert np.array_equal(first["heatmap"], heat) and np.array_equal(first["bbox"], numbers)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), max_size=5),
    st.lists(st.binary(max_size=200), max_size=3),
)
def test_what_is_encoded_is_parsed_again(
    integers: list[int], floats: list[float], texts: list[bytes]
) -> None:
    features = {"i": np.array(integers, np.int64), "f": np.array(floats, np.float32), "b": texts}
    found = parse_example(encode_example(features))
    assert found["b"] == texts
    for key in ("i", "f"):
        assert found[key].dtype == features[key].dtype
        assert np.array_equal(found[key], features[key])


def test_numbers_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match="a feature of float64; expected bytes, float32 or int64"):
        encode_example({"x": np.zeros(2)})


def test_records_that_were_written_are_read(tmp_path: Path) -> None:
    payloads = [b"", b"one", bytes(300)]
    write_records(tmp_path / "a", payloads)
    assert list(Records(tmp_path / "a")) == payloads
