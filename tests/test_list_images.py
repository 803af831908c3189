from pathlib import Path

import pytest

from attnlabels.images.folder import read_manifest
from list_images import main

PARAMS = """
list_images:
  train: {images: photos, witness: photos.txt, classes: 2, count: 3}
  any: {images: photos, witness: photos.txt, classes: 2, count: null}
  thousand: {images: photos, witness: photos.txt, classes: 1000, count: null}
  short: {images: photos, witness: photos.txt, classes: 2, count: 4}
  unwatched: {images: photos, witness: gone.txt, classes: 2, count: 3}
  zero: {images: photos, witness: photos.txt, classes: 0, count: 3}
"""


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    Path("photos.txt").write_text("version 1")
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"):
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")


@pytest.mark.parametrize("name", ["train", "any"])
def test_images_are_listed(name):
    main(name, Path("out/train.csv"))
    manifest = read_manifest(Path("out/train.csv"))
    assert manifest.paths.tolist() == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
    assert manifest.labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("thousand", "2 class folders found, 1000 declared; .*`classes` of its row of `list_ima"),
        ("short", r"photos: 3 images found, 4 declared; .*mend list_images\.short\.count in par"),
        ("unwatched", r"gone\.txt: not here; .*mend list_images\.unwatched\.witness in params"),
        ("zero", r"params\.yaml: list_images\.zero\.classes: .*greater than or equal to 1"),
        ("other", r"params\.yaml: no section 'list_images\.other'"),
    ],
)
def test_what_does_not_fit_stops_and_leaves_nothing(name, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        main(name, Path("out/train.csv"))
    assert not list(Path().glob("out/*"))
