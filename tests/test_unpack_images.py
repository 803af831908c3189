import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from attnlabels.testsets.cifar10 import read_cifar10
from unpack_images import main

CIFAR = {"archive": "a.tgz", "layout": "cifar10", "take": {"train": 3, "test": 2}}
CLASSES = {"archive": "a.tgz", "layout": "class_folders", "take": {"train": 1, "val": None}}


def write_params(**row) -> None:
    Path("params.yaml").write_text(json.dumps({"unpack_images": {"part": row}}))


# Older Pythons know of no filter, and later ones ask for one.
SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def pack(files: dict[str, bytes]) -> Path:
    with tarfile.open("a.tgz", "w:gz") as tar:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return Path("a.tgz")


def batches() -> dict[str, bytes]:
    """CIFAR-10's archive with five rows a file; those of batch k have labels k."""
    names = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
    return {
        f"cifar-10-batches-py/{name}": pickle.dumps(
            {
                b"batch_label": b"x",
                b"labels": [k] * 5,
                b"data": np.random.default_rng(k).integers(0, 256, (5, 3072), np.uint8),
                b"filenames": [b"x"] * 5,
            },
            protocol=2,
        )
        for k, name in enumerate(names, 1)
    } | {"cifar-10-batches-py/readme.html": b"<html>"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_first_rows_of_cifars_files_are_taken(capsys):
    archive = pack(batches())
    write_params(**CIFAR)
    main("part", archive, Path("out"))
    assert "part: 15 images in train, 2 images in test" in capsys.readouterr().out
    for split, n_files in (("train", 5), ("test", 1)):
        whole, labels = read_cifar10(archive, split=split)
        found, of_found = read_cifar10(Path("out"), split=split)
        n = CIFAR["take"][split]
        rows = np.concatenate([np.arange(n) + 5 * k for k in range(n_files)])
        assert np.array_equal(found, whole[rows]) and np.array_equal(of_found, labels[rows])


def test_cifars_archive_is_read_as_the_folder_it_is_unpacked_to():
    archive = pack(batches())
    with tarfile.open(archive) as tar:
        tar.extractall(Path(), **SAFELY)
    for split in ("train", "test"):
        for one, other in zip(
            read_cifar10(archive, split=split),
            read_cifar10(Path("cifar-10-batches-py"), split=split),
        ):
            assert np.array_equal(one, other)


def test_images_of_each_class_are_taken_and_a_second_run_replaces_them():
    folders = ("train/x", "train/y", "val/x", "val/y")
    names = [f"a/{folder}/{k}.png" for folder in folders for k in "12"]
    archive = pack({name: name.encode() for name in names})
    write_params(**CLASSES)
    for _ in range(2):
        main("part", archive, Path("out"))
        files = [path for path in Path("out").glob("*/*/*") if path.is_file()]
        assert len(files) == 2 + 4
        assert all(path.read_bytes() == f"a/{path.relative_to('out')}".encode() for path in files)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"take": {"train": 6}}, r"data_batch_1: 5 rows, 6 are to be taken; fetch it again, or"),
        ({"take": {"val": 1}}, r"unpack_images\.part\.take names val; CIFAR-10 has train and test"),
        ({"take": {}}, r"unpack_images\.part\.take: .*at least 1 item"),
        ({"take": {"train": 0}}, r"take\.train: .*greater than or equal to 1"),
        ({"layout": "zip"}, r"unpack_images\.part\.layout: "),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(changes, message):
    write_params(**(CIFAR | changes))
    with pytest.raises(ValueError, match=message):
        main("part", pack(batches()), Path("out"))
    assert sorted(path.name for path in Path().iterdir()) == ["a.tgz", "params.yaml"]


def test_a_missing_batch_is_named():
    files = batches()
    del files["cifar-10-batches-py/data_batch_3"]
    write_params(**CIFAR)
    with pytest.raises(FileNotFoundError, match=r"a\.tgz/data_batch_3: batch missing; unpack"):
        main("part", pack(files), Path("out"))
