import gzip
import io
import tarfile
from pathlib import Path

import pytest

from attnlabels.images.remote import fetch, find_remote
from attnlabels.images.tars import find_tars, list_tars


def packed(path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for name in ("a.jpg", "b.jpg"):
            about = tarfile.TarInfo(name)
            about.size = 3000
            tar.addfile(about, io.BytesIO(name.encode() * 600))
    return path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_is_elsewhere_or_compressed_is_found_and_no_other():
    packed(Path("plain.tar"), "w")
    for name in ("x-0.tar.gz", "x-1.tar.gz"):
        packed(Path(name))
    assert find_remote("plain.tar") == [] == find_remote("*.tar") == find_remote("nothing")
    assert find_remote("x-*.tar.gz") == sorted(map(str, Path().glob("x-*")))
    assert find_remote("pipe:cat x-{0..1}.tar.gz") == [
        "pipe:cat x-0.tar.gz",
        "pipe:cat x-1.tar.gz",
    ]
    assert find_remote("https://host/{a,b}.tar") == ["https://host/a.tar", "https://host/b.tar"]
    assert find_remote(".") == ["x-0.tar.gz", "x-1.tar.gz", "plain.tar"]
    with pytest.raises(FileNotFoundError, match="x-2.tar.gz: no such folder or tar"):
        find_remote("x-{0..2}.tar.gz")


@pytest.mark.parametrize(
    ("mode", "url"),
    [
        ("w:gz", "x.tar.gz"),
        ("w:bz2", "x.tar.bz2"),
        ("w:xz", "x.tar.xz"),
        ("w", "pipe:cat x.tar"),
        ("w:gz", "pipe:cat x.tar.gz"),
        ("w", "file:x.tar"),
    ],
)
def test_a_copy_holds_the_images_under_the_name_of_the_tar(mode, url):
    packed(Path(url.rpartition(" ")[2].removeprefix("file:")), mode)
    fetch([url], Path("copies"))
    images, _ = list_tars(find_tars("copies"))
    assert images.listed.paths.tolist() == ["x.tar/a.jpg", "x.tar/b.jpg"]
    assert images.read(1) == b"b.jpg" * 600


def test_tars_of_one_name_are_told_apart_and_those_that_are_there_are_not_fetched_again():
    for folder in "ab":
        Path(folder).mkdir()
        packed(Path(folder, "x.tgz"))
    urls = [f"pipe:cat {folder}/x.tgz; echo . >> calls" for folder in "ab"]
    fetch(urls[:1], Path("copies"))
    fetch(urls, Path("more"))
    fetch(urls, Path("more"))
    assert [path.name for path in find_tars("copies")] == ["x.tar"]
    assert [path.name for path in find_tars("more")] == ["000000.tar", "000001.tar"]
    assert len(Path("calls").read_text().split()) == 3


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("pipe:cat nothing.tar 2>/dev/null", r"its command ended with status 1"),
        ("pipe:head -c 100 x.tar.gz", "end-of-stream|ended before"),
        ("cut.tar.gz", "end-of-stream|ended before"),
        ("spoilt.tar.gz", r"\("),
        ("gopher://host/x.tar", "gopher"),
    ],
)
def test_what_cannot_be_read_to_its_end_is_one_error_and_leaves_nothing(url, why):
    data = packed(Path("x.tar.gz")).read_bytes()
    Path("cut.tar.gz").write_bytes(data[:-20])
    Path("spoilt.tar.gz").write_bytes(data[:40] + bytes(60) + data[100:])
    with pytest.raises(ValueError, match=rf"^{url}: cannot be fetched .*({why}).*; fetch it by"):
        fetch([url], Path("copies"))
    assert list(Path("copies").iterdir()) == []


def test_a_tar_within_a_gzip_is_as_long_as_it_was():
    packed(Path("x.tar"), "w")
    Path("x.tar.gz").write_bytes(gzip.compress(Path("x.tar").read_bytes()))
    fetch(["x.tar.gz"], Path("copies"))
    assert Path("copies/x.tar").read_bytes() == Path("x.tar").read_bytes()
