from pathlib import Path

import h5py
import numpy as np
import pytest

from attnlabels.clickmaps.ready_maps import list_maps, read_map


def a_file(tmp_path: Path, *, group: str = "clickmaps", **data) -> Path:
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        for name, each in data.items():
            file.create_group(f"{group}/{name}").create_dataset("clickmap", data=each)
        if group in file and "a_1" in file[group]:
            file[group]["a_1"].attrs["original_path"] = "val/a/1.jpg"
    return tmp_path / "maps.h5"


def test_maps_are_read_with_the_path_of_their_image(tmp_path):
    map = np.arange(6.0).reshape(2, 3)
    path = a_file(tmp_path, a_1=map, b_2=map[None], c=np.zeros((2, 3)))
    assert list_maps(path) == {"a_1": "val/a/1.jpg", "b_2": "b_2", "c": "c"}
    assert np.array_equal(read_map(path, "a_1"), map) and np.array_equal(read_map(path, "b_2"), map)
    assert read_map(path, "c") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": np.ones(4)}, r"clickmaps/a: clickmap is \[4\]; expected one map"),
        ({"a": np.ones((2, 3, 4))}, r"clickmap is \[2, 3, 4\]"),
        ({"a": np.ones((0, 3))}, r"clickmap is \[0, 3\]; expected one map"),
        ({"a": -np.ones((2, 2))}, "clickmaps/a: a map from -1 to -1; expected 0 and more"),
        ({"a": np.full((2, 2), np.nan)}, "a map from nan"),
        ({"a": b"text"}, "clickmaps/a: has no numbers 'clickmap'"),
        ({"group": "maps", "a": np.ones((2, 2))}, "has no group 'clickmaps'"),
    ],
)
def test_what_is_no_map_is_named(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        path = a_file(tmp_path, **data)
        for name in list_maps(path):
            read_map(path, name)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = a_file(tmp_path, a=np.ones((64, 64)))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="maps.h5: no whole HDF5"):
        for name in list_maps(path):
            read_map(path, name)
