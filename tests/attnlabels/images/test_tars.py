import io
import json
import logging
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlabels.images.tars import find_tars, list_tars

UP = os.pardir


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return path


def test_an_image_a_sample_is_listed_with_its_class_and_read_from_its_place(tmp_path):
    tars = [
        write_tar(
            tmp_path / "0.tar",
            {
                "a.jpg": b"first",
                "a.cls": b"2",
                "b.cls": b"0",
                "b.seg.png": b"a mask",
                "b.JPEG": b"second",
            },
        ),
        write_tar(tmp_path / "1.tar", {"d/c.json": b'{"label": 1}', "d/c.png": b"third" * 200}),
    ]
    images, left_out = list_tars(tars)
    assert images.listed.paths.tolist() == ["0.tar/a.jpg", "0.tar/b.JPEG", "1.tar/d/c.png"]
    assert [images.read(i) for i in range(3)] == [b"first", b"second", b"third" * 200]
    assert [images.stem(i) for i in range(3)] == ["a", "b", "d/c"]
    assert images.listed.labels.tolist() == [2, 0, 1]
    assert images.listed.classes == ["0", "1", "2"] and not left_out


def test_samples_without_a_class_have_none_and_those_without_an_image_are_named(tmp_path):
    members = {"a.jpg": b"1", "a.json": b'{"url": ""}', "b.txt": b"no image", "c.webp": b"2"}
    images, left_out = list_tars([write_tar(tmp_path / "x.tar", members)])
    assert images.listed.paths.tolist() == ["x.tar/a.jpg", "x.tar/c.webp"]
    assert images.listed.labels.tolist() == [-1, -1] and images.listed.classes == []
    assert left_out == {"x.tar/b": "has no image"}


@pytest.mark.parametrize("grouped", [True, False])
def test_members_of_a_sample_need_not_lie_side_by_side(tmp_path, grouped):
    """All JPEGs, then all labels, as `tar cf x.tar *.jpg *.cls` writes them."""
    members = {f"{i}.{kind}": str(i % 2).encode() for kind in ("jpg", "cls") for i in range(3)}
    if grouped:
        members = dict(sorted(members.items()))
    images, left_out = list_tars([write_tar(tmp_path / "x.tar", members)])
    assert images.listed.labels.tolist() == [0, 1, 0] and not left_out


@pytest.mark.parametrize(
    ("held", "label", "names"),
    [
        ({"a.cls": b"3\n"}, 3, ["0", "1", "2", "3"]),
        ({"a.cls": b"003"}, 3, ["0", "1", "2", "3"]),
        ({"a.cls": b"1.0"}, 1, ["0", "1"]),
        ({"a.json": b'{"label": 2.0}'}, 2, ["0", "1", "2"]),
        ({"a.json": b'{"label": null}'}, -1, ["0"]),
        ({"a.json": b"[1, 2]"}, -1, ["0"]),
        ({"a.cls": b"0", "a.json": b'{"label": 1}'}, 0, ["0"]),
    ],
)
def test_a_class_is_a_whole_number_however_it_is_written(tmp_path, held, label, names):
    members = {"a.jpg": b"1", **held, "b.jpg": b"2", "b.cls": b"0"}
    images, left_out = list_tars([write_tar(tmp_path / "x.tar", members)])
    assert images.listed.labels.tolist() == [label, 0] and images.listed.classes == names
    assert not left_out


def test_classes_may_be_names_which_are_numbered_by_the_alphabet(tmp_path):
    one = {"a.jpg": b"1", "a.cls": b"dog\n", "b.jpg": b"2", "b.json": '{"label": "Käse"}'.encode()}
    two = {"c.jpg": b"3", "c.cls": b"cat", "d.jpg": b"4"}
    tars = [write_tar(tmp_path / "1.tar", one), write_tar(tmp_path / "2.tar", two)]
    images, _ = list_tars(tars)
    assert images.listed.classes == ["Käse", "cat", "dog"]
    assert images.listed.labels.tolist() == [2, 0, 1, -1]


def test_names_and_numbers_of_classes_do_not_mix(tmp_path):
    members = {"a.jpg": b"1", "a.cls": b"dog", "b.jpg": b"2", "b.cls": b"7"}
    with pytest.raises(ValueError, match=r"x\.tar: classes are numbers \(7\) and names \('dog'\)"):
        list_tars([write_tar(tmp_path / "x.tar", members)])


def test_the_own_members_of_macos_are_passed_over_and_counted(tmp_path, caplog):
    members = {"._a.jpg": b"x", "a.jpg": b"1", "__MACOSX/a.jpg": b"x", "d/.DS_Store": b"x"}
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        images, left_out = list_tars([write_tar(tmp_path / "x.tar", members)])
    assert images.listed.paths.tolist() == ["x.tar/a.jpg"] and not left_out
    assert caplog.messages == [f"{tmp_path / 'x.tar'}: passed over 3 hidden, ._a.jpg the first"]


def test_tars_of_several_folders_are_told_apart(tmp_path):
    tars = [write_tar(tmp_path / name, {"0.jpg": name.encode()}) for name in ("a/0.tar", "b/0.tar")]
    images, _ = list_tars(tars)
    assert images.root == tmp_path
    assert images.listed.paths.tolist() == ["a/0.tar/0.jpg", "b/0.tar/0.jpg"]
    assert images.read(1) == b"b/0.tar" and images.stem(1) == "0"


def test_a_name_that_is_no_text_is_written_as_one(tmp_path):
    images, _ = list_tars([write_tar(tmp_path / "x.tar", {os.fsdecode(b"caf\xe9.jpg"): b"1"})])
    assert images.listed.paths.tolist() == [r"x.tar/caf\xe9.jpg"] and images.read(0) == b"1"


def test_a_stamp_changes_with_the_tar(tmp_path):
    images, _ = list_tars([write_tar(tmp_path / "x.tar", {"a.jpg": b"1", "b.jpg": b"2"})])
    before = [images.stamp(i) for i in range(2)]
    assert before[0] != before[1]
    write_tar(tmp_path / "x.tar", {"a.jpg": b"1", "b.jpg": b"2" * 9000})
    assert images.stamp(0) != before[0]


def test_tars_are_found_in_a_folder_and_by_a_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(12):
        write_tar(Path(f"set/t-{i:02d}.tar"), {"a.jpg": b"1"})
    assert find_tars("set") == [Path(f"set/t-{i:02d}.tar") for i in range(12)]
    assert find_tars("set/t-{03..05}.tar") == [Path(f"set/t-0{i}.tar") for i in (3, 4, 5)]
    assert find_tars("set/t-1*.tar") == [Path("set/t-10.tar"), Path("set/t-11.tar")]
    assert find_tars("set/t-00.tar") == [Path("set/t-00.tar")]
    with pytest.raises(FileNotFoundError, match="set/t-12.tar: no such folder or tar"):
        find_tars("set/t-{10..12}.tar")
    Path("a.zip").touch()
    with pytest.raises(ValueError, match="a.zip: expected a folder or .tar files; name"):
        find_tars("a.zip")
    with pytest.raises(ValueError, match=r"set/t-\{0: a brace without its other one"):
        find_tars("set/t-{0")
    assert find_tars(f"{{set/t-00.tar,{Path('set/t-01.tar').absolute()}}}") == [
        Path("set/t-01.tar").absolute(),
        Path("set/t-00.tar"),
    ]


def test_the_own_files_of_macos_are_no_tars(tmp_path):
    write_tar(tmp_path / "x.tar", {"a.jpg": b"1"})
    (tmp_path / "._x.tar").write_bytes(b"AppleDouble")
    assert find_tars(str(tmp_path)) == [tmp_path / "x.tar"]


def a_link(name: str, *, to: str, kind: bytes) -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, to
    return about


@pytest.mark.parametrize(
    ("about", "why"),
    [
        (tarfile.TarInfo("/etc/a.jpg"), "'/etc/a.jpg' leads out of the folder"),
        (tarfile.TarInfo(f"{UP}/a.jpg"), "leads out of the folder"),
        (tarfile.TarInfo(f"b/{UP}/{UP}/a.jpg"), "leads out of the folder"),
        (
            a_link("a.jpg", to="/etc/passwd", kind=tarfile.SYMTYPE),
            "is a link or a device, no plain",
        ),
        (a_link("a.jpg", to="b.jpg", kind=tarfile.LNKTYPE), "is a link or a device, no plain file"),
        (a_link("a.jpg", to="", kind=tarfile.FIFOTYPE), "is a link or a device, no plain file"),
    ],
)
def test_a_member_that_would_lead_elsewhere_is_refused(tmp_path, about, why):
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("fine.jpg"))
        tar.addfile(about)
    with pytest.raises(ValueError, match=rf"evil\.tar: .*{why}.*; do not trust this tar"):
        list_tars([tmp_path / "evil.tar"])


@pytest.mark.parametrize("kept", [3000, 2560, 1024, 700])  # in data, at data's end, at a header
def test_a_tar_that_is_cut_short_is_refused(tmp_path, kept):
    path = write_tar(tmp_path / "x.tar", {"a.jpg": b"1", "b.jpg": b"2" * 1000, "c.jpg": b"3" * 600})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"x\.tar: cut short.*; fetch it again"):
        list_tars([path])


def test_what_is_no_tar_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b" + bytes(range(256)) * 8)
    with pytest.raises(ValueError, match=r"x\.tar: cut short, or no tar"):
        list_tars([tmp_path / "x.tar"])


def write_twice(path: Path, *names: str) -> Path:
    """A tar of members that need not have different names."""
    with tarfile.open(path, "w") as tar:
        for name in names:
            about = tarfile.TarInfo(name)
            about.size = 1
            tar.addfile(about, io.BytesIO(b"1"))
    return path


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a.jpg", "a.jpg"], "a.jpg and a.jpg"),
        (["a.jpg", "a.cls", "a.jpg", "a.cls"], "a.jpg and a.jpg"),
        (["a.jpg", "a.JPG"], "a.jpg and a.JPG"),
        (["a.jpg", "b.jpg", "c.jpg", "a.jpg"], "a.jpg and a.jpg"),
    ],
)
def test_a_key_that_comes_twice_is_named_and_none_of_its_images_taken(tmp_path, names, why):
    tar = write_twice(tmp_path / "x.tar", *names, "z.jpg")
    images, left_out = list_tars([tar])
    assert left_out == {"x.tar/a": f"is there twice ({why}); rename one"}
    assert "x.tar/z.jpg" in images.listed.paths and "x.tar/a.jpg" not in images.listed.paths


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"a.png": b"2"}, "has 2 images, a.jpg and a.png; expected one a sample"),
        ({"a.cls": b"[0, 1, 0]"}, "has the class '[0, 1, 0]' in a.cls; expected a number"),
        ({"a.cls": b"true"}, "has the class 'True' in a.cls"),
        ({"a.cls": b"1.5"}, "has the class '1.5' in a.cls"),
        ({"a.cls": b"-2"}, "has the class '-2' in a.cls"),
        ({"a.cls": b""}, "has the class '' in a.cls"),
        ({"a.cls": b"\x03" + bytes(7)}, "has the class"),
        ({"a.cls": b"900000"}, "'900000' in a.cls; expected a number from 0 to 99,999, or a name"),
        ({"a.cls": b"9" * 5000}, "has the class '9"),
        ({"a.json": b'{"label": [0, 1]}'}, "has the class '[0, 1]' in a.json"),
        ({"a.json": b'{"label": '}, "has a .json that is none"),
        ({"a.json": b"[" * 100_000}, "has a .json that is none"),
        ({"a.json": b" " * (2 << 20)}, "has a.json of 2097152 bytes; expected a class"),
    ],
)
def test_a_sample_that_makes_no_sense_is_named(tmp_path, members, why):
    tar = write_tar(tmp_path / "x.tar", {"a.jpg": b"1", **members, "z.jpg": b"1"})
    images, left_out = list_tars([tar])
    assert images.listed.paths.tolist() == ["x.tar/z.jpg"] and list(left_out) == ["x.tar/a"]
    assert why in left_out["x.tar/a"]


def test_tars_without_images_are_refused(tmp_path):
    tar = write_tar(tmp_path / "x.tar", {"a.txt": b"no image"})
    with pytest.raises(ValueError, match=r"no images \(.jpeg.*\) in 1 tars; x\.tar/a has no image"):
        list_tars([tar])


def test_a_member_of_less_than_no_bytes_ends_the_reading(tmp_path):
    about = tarfile.TarInfo("a.jpg")
    header = bytearray(about.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(ValueError, match=r"x\.tar: cut short, or no tar"):
        list_tars([tmp_path / "x.tar"])


MEMBERS = {"a.jpg": b"1" * 600, "a.cls": b"1", "b.jpg": b"2", "b.json": b'{"label": 0}'}
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["dog", "3", "1e400", "0x3", "\ud800"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.just("label"), inner)),
    max_leaves=4,
)


def read_all(path: Path) -> None:
    """List and read a tar; errors may only be ours."""
    try:
        images, left_out = list_tars([path])
        assert all(isinstance(images.read(i), bytes) for i in range(len(images.listed.paths)))
        assert images.listed.labels.max() < max(len(images.listed.classes), 1)
        assert all(f"{name} {why}".isprintable() for name, why in left_out.items())
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from([*MEMBERS, "b.cls", "z.cls"]), value=VALUES, raw=st.binary(max_size=12))
def test_no_odd_class_gives_another_error_than_ours(tmp_path_factory, name, value, raw):
    for text in (json.dumps(value).encode(), raw):
        read_all(write_tar(tmp_path_factory.mktemp("odd") / "x.tar", MEMBERS | {name: text}))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_no_damaged_tar_gives_another_error_than_ours(tmp_path_factory, data):
    """Bytes of headers replaced, their checksum put right or not; the tar cut or doubled."""
    path = write_tar(tmp_path_factory.mktemp("odd") / "x.tar", MEMBERS)
    tar = bytearray(path.read_bytes())
    header = data.draw(st.sampled_from([0, 1536, 2560]))
    start, end = data.draw(
        st.sampled_from([(0, 100), (124, 136), (156, 157), (157, 257), (257, 265)])
    )
    kinds = st.sampled_from([b"\0", b"\xff", b"0", b"5", b"L", b"x", b"g", b"S", b"K", b"V", b"/"])
    spoilt = data.draw(st.lists(kinds, min_size=1, max_size=12).map(b"".join))[: end - start]
    tar[header + start : header + start + len(spoilt)] = spoilt
    if data.draw(st.booleans()):
        tar[header + 148 : header + 156] = b" " * 8
        total = sum(tar[header : header + 512])
        tar[header + 148 : header + 156] = b"%06o\0 " % total
    cut = data.draw(st.sampled_from([0, 0, 0, 100, 512, 1500]))
    path.write_bytes(bytes(tar[: len(tar) - cut]) * data.draw(st.sampled_from([1, 1, 2])))
    read_all(path)
