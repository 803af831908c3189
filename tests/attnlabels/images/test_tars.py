import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

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
    images, strangers = list_tars(tars)
    assert images.listed.paths.tolist() == ["0.tar/a.jpg", "0.tar/b.JPEG", "1.tar/d/c.png"]
    assert [images.read(i) for i in range(3)] == [b"first", b"second", b"third" * 200]
    assert [images.stem(i) for i in range(3)] == ["a", "b", "d/c"]
    assert images.listed.labels.tolist() == [2, 0, 1]
    assert images.listed.classes == ["0", "1", "2"] and strangers == []


def test_samples_without_a_class_have_none_and_those_without_an_image_are_named(tmp_path):
    members = {"a.jpg": b"1", "a.json": b'{"label": "dog"}', "b.txt": b"no image", "c.webp": b"2"}
    images, strangers = list_tars([write_tar(tmp_path / "x.tar", members)])
    assert images.listed.labels.tolist() == [-1] and images.listed.classes == []
    assert strangers == ["x.tar/b", "x.tar/c"]


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
    Path("a.tar.gz").touch()
    with pytest.raises(ValueError, match="a.tar.gz: expected a folder or .tar files; unpack"):
        find_tars("a.tar.gz")


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


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.txt": b"no image"}, r"x\.tar: no images \(jpg, jpeg, png\) in 1 tars"),
        ({"a.jpg": b"1", "a.png": b"2"}, r"x\.tar: a has 2 images; expected one a sample"),
        ({"a.jpg": b"1", "a.cls": b"cat"}, r"x\.tar: a\.cls holds no class"),
        ({"a.jpg": b"1", "a.cls": b"-2"}, r"a\.cls holds b'-2'; expected a class number"),
        ({"a.jpg": b"1", "a.cls": b"999999999999"}, "expected a class number"),
        (
            {"a.jpg": b"1", "a.json": b" " * (2 << 20)},
            r"a\.json has 2097152 bytes; expected a class",
        ),
    ],
)
def test_samples_that_make_no_sense_are_refused(tmp_path, members, message):
    with pytest.raises(ValueError, match=message):
        list_tars([write_tar(tmp_path / "x.tar", members)])
