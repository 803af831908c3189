from pathlib import Path

import pytest

from attnlabels.images.listed import read_listed

UP = ".." + "/"

IMAGES = ("train/a.jpg", "train/b.jpg", "train/deep/c.jpg", "val/d.jpg")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for image in IMAGES:
        (tmp_path / "images" / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / image).write_bytes(b"123")
    return tmp_path / "images"


def read(root: Path, text: str, *, encoding: str = "utf-8"):
    path = root.with_name("labels.csv")
    path.write_text(text, encoding=encoding)
    return read_listed(path, root)


def test_labels_are_numbered_by_the_training_images_classes(root):
    found = read(root, "image,label\ntrain/b.jpg,red\ntrain/a.jpg,blue\nval/d.jpg,red\n")
    assert found["train"].paths.tolist() == ["train/b.jpg", "train/a.jpg"]
    assert found["train"].classes == found["val"].classes == ["blue", "red"]
    assert found["train"].labels.tolist() == [1, 0] and found["val"].labels.tolist() == [1]
    assert found["val"].sizes.tolist() == [3]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_column_says_the_split_in_any_order_and_with_any_sign(root, sign, encoding):
    lines = ("label,split,image", "x,test,./train/a.jpg", "x,train,val/d.jpg")
    found = read(root, "\n".join(lines).replace(",", sign), encoding=encoding)
    assert found["val"].paths.tolist() == ["train/a.jpg"]
    assert found["train"].paths.tolist() == ["val/d.jpg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the columns are none; expected image, label"),
        ("image,class\n", "the columns are image, class; expected"),
        ("image,label\ntrain/a.jpg\n", "line 2: more or fewer cells"),
        ("image,label\ntrain/a.jpg,x,y\n", "line 2: more or fewer cells"),
        ("image,label\ntrain/a.jpg,\n", "line 2: no label"),
        (f"image,label\n{UP}a.jpg,x\n", f"line 2: image '{UP}a.jpg'; expected a path below"),
        ("image,label\nother/a.jpg,x\n", "line 2: the split is 'other'; expected train, val, test"),
        (
            "image,label\ntrain/a.jpg,x\ntrain/./a.jpg,y\nval/d.jpg,x\n",
            "more than once: train/a.jpg",
        ),
        ("image,label\ntrain/a.jpg,x\nval/d.jpg,y\n", "no training image of the class y"),
        ("image,label\ntrain/a.jpg,x\n", "no image of the split val"),
    ],
)
def test_what_does_not_fit_is_refused_by_file_and_line(root, text, said):
    with pytest.raises(ValueError, match=said) as raised:
        read(root, text)
    assert str(raised.value).startswith(str(root.with_name("labels.csv")))


def test_missing_files_and_other_encodings_are_named(root):
    with pytest.raises(FileNotFoundError, match="not in .*images: train/z.jpg; mend"):
        read(root, "image,label\ntrain/z.jpg,x\nval/d.jpg,x\n")
    with pytest.raises(ValueError, match="labels.csv: no CSV in UTF-8"):
        read(root, "image,label\ntrain/a.jpg,é\n", encoding="latin-1")
    with pytest.raises(FileNotFoundError, match="nowhere.csv: no such file"):
        read_listed(root / "nowhere.csv", root)
