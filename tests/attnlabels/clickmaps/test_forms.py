import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest

from attnlabels.clickmaps.forms import files_of, form_of
from attnlabels.clickmaps.tfrecord import write_records


def one_of_each(folder: Path) -> dict[str, Path]:
    """Files whose names say something else than what they hold."""
    paths = {form: folder / f"{form}.jpg" for form in ("tfrecord", "csv", "npz", "hdf5")}
    write_records(paths["tfrecord"], [b"payload"])
    paths["csv"].write_text("image_path,clicks,user_id\n")
    with paths["npz"].open("wb") as file:
        np.savez(file, a=np.ones(3))
    with h5py.File(paths["hdf5"], "w") as file:
        file.create_group("clickmaps")
    return paths


def test_a_form_is_told_from_the_bytes_and_not_from_the_name(tmp_path):
    for form, path in one_of_each(tmp_path).items():
        assert form_of([path]) == form


def test_files_of_two_forms_are_refused(tmp_path):
    paths = one_of_each(tmp_path)
    with pytest.raises(ValueError, match="holds tfrecord and .* csv; name files of one form"):
        form_of([paths["tfrecord"], paths["csv"]])


def test_what_is_none_of_the_forms_is_refused(tmp_path):
    path = tmp_path / "a.tfrecords"
    path.write_bytes(gzip.compress(b"x"))
    with pytest.raises(ValueError, match="is compressed; unpack it first: gzip -d"):
        form_of([path])
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="a.tfrecords: is empty; fetch it again"):
        form_of([path])
    path.write_bytes(bytes(40))
    with pytest.raises(ValueError, match="none of ClickMe's forms"):
        form_of([path])


def test_the_files_of_a_folder_are_taken_by_name_without_hidden_ones(tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).touch()
    assert [each.name for each in files_of(tmp_path)] == ["a", "b"]
    assert files_of(tmp_path / "a") == [tmp_path / "a"]
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(FileNotFoundError, match=f"{name}: no such file, nor files in it"):
            files_of(tmp_path / name)
