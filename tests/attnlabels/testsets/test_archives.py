import io
import tarfile
import zlib
from pathlib import Path

import pytest

from attnlabels.testsets.archives import members, unpack_classes

IMAGES = {
    f"imagenette2-160/{split}/{name}/{k}.JPEG": f"{split} {name} {k}".encode() * 50
    for split, n in (("train", 6), ("val", 3))
    for name in ("n01", "n02")
    for k in range(n)
}
BESIDE = {  # what is in the published archives too
    "imagenette2-160/noisy_imagenette.csv": b"path,noisy_labels_0",
    "imagenette2-160/train/.DS_Store": b"x",
    "imagenette2-160/train/n01/._0.JPEG": b"x",
    "imagenette2-160/train/n01/notes.txt": b"x",
    "imagenette2-160/test/n01/0.JPEG": b"x",
}
TAKE = {"train": 4, "val": 2}

UP = ".."
# Older Pythons know of no filter, and later ones ask for one.
SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def pack(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "folder"])
def test_images_of_each_class_are_taken_by_a_checksum_of_their_names(mode, tmp_path):
    archive = pack(tmp_path / "a.tar", IMAGES | BESIDE, mode if mode != "folder" else "w")
    if mode == "folder":
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path / "a", **SAFELY)
        archive = tmp_path / "a" / "imagenette2-160"
    assert unpack_classes(archive, tmp_path / "out", TAKE) == {"train": 8, "val": 4}
    expected = {}
    for split, count in TAKE.items():
        for name in ("n01", "n02"):
            files = [key for key in IMAGES if f"{split}/{name}/" in key]
            files.sort(key=lambda key: zlib.crc32("/".join(key.split("/")[2:]).encode()))
            expected |= {key.partition("/")[2]: IMAGES[key] for key in files[:count]}
    assert unpacked(tmp_path / "out") == expected


def test_the_order_in_the_archive_changes_nothing_and_none_means_all(tmp_path):
    turned = dict(reversed(IMAGES.items()))
    for name, files in {"a": IMAGES, "b": turned}.items():
        unpack_classes(pack(tmp_path / f"{name}.tgz", files), tmp_path / name, {"train": 2})
    assert unpacked(tmp_path / "a") == unpacked(tmp_path / "b")
    counts = unpack_classes(tmp_path / "a.tgz", tmp_path / "all", {"train": None, "val": None})
    assert counts == {"train": 12, "val": 6}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"a\.tgz: holds no images in train/<class>; is it another one\?"),
        ({"train/1.JPEG": b"x"}, "holds no images in train/<class>"),
        ({"train/n01/1.JPEG": b"x"}, "train/n01 has 1 images, 4 are to be taken; fetch it again"),
        (
            {
                f"{folder}/{k}.JPEG": b"x"
                for folder in ("train/n01", "train/n02", "val/n01")
                for k in range(4)
            },
            "has no val/n02, a class that is in another split; fetch it again",
        ),
        ({f"{UP}/train/n01/1.JPEG": b"x"}, "holds no images in train/<class>"),
        ({f"train/{UP}/1.JPEG": b"x"}, "holds no images in train/<class>"),
        (IMAGES | {"train/n01/1.JPEG": b"x"}, r"holds train/n01/1\.JPEG twice; fetch it again"),
    ],
)
def test_archives_that_hold_something_else_are_refused(files, message, tmp_path):
    archive = pack(tmp_path / "a.tgz", files)
    with pytest.raises(ValueError, match=message):
        unpack_classes(archive, tmp_path / "out", TAKE)
    assert not (tmp_path / "out").exists()


def test_links_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("train/n01/1.JPEG")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert list(members(tmp_path / "a.tar")) == []


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_cut_anywhere_is_refused(mode, tmp_path):
    whole = pack(tmp_path / "a.tar", IMAGES, mode).read_bytes()
    cut = tmp_path / "cut.tar"
    for share in (0, 0.1, 0.3, 0.5, 0.7):
        cut.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(
            ValueError, match=r"cut\.tar: (cut short|(train|val)/n|holds no|has no)"
        ):
            unpack_classes(cut, tmp_path / "out", {"train": 6, "val": 3})


def test_what_is_no_archive_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.tgz: no such archive; fetch it and put it"):
        unpack_classes(tmp_path / "no.tgz", tmp_path / "out", TAKE)
    path = tmp_path / "a.tgz"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match=r"a\.tgz: a pointer of git-lfs"):
        unpack_classes(path, tmp_path / "out", TAKE)
    path.write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"a\.tgz: cut short or no archive \(.*fetch it again"):
        unpack_classes(path, tmp_path / "out", TAKE)
