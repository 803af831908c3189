import numpy as np
import pytest

from attnlabels.shards.shards import Shards, write_shards
from attnlabels.tasks import parts
from attnlabels.tasks.stills import read_stills


@pytest.fixture(scope="module")
def labels(tmp_path_factory, write_labels):
    return write_labels(tmp_path_factory.mktemp("stills") / "labels", seed=0)


def test_points_are_four_times_each_and_on_the_square(labels):
    examples = read_stills(labels, size=24, target=np.zeros(18), n_outputs=3)
    for sample, points in zip(Shards(labels), examples.points):
        assert len(points) == 4 * len(sample["points"])
        middle = (sample["points"].mean(axis=0) + 0.5) / 12 * 24
        assert points.mean(axis=0) + 0.5 == pytest.approx(middle, abs=1)
    assert examples.keys[0] == "image0"


def test_fine_grained_classes_are_those_of_the_shards(labels):
    examples = parts.read(labels, shown="image", size=24, masks=None)
    assert examples.target.tolist() == [i % 3 for i in range(18)] and examples.n_outputs == 3


def rewritten(labels, folder, **changed):
    first = Shards(labels)[0] | changed
    maps_by = {"kind": "human"}
    write_shards(folder, [first], maximum_count=1, maps_by=maps_by, classes=["a", "b"])
    return folder


def test_an_image_that_nobody_looked_at_is_named(labels, tmp_path):
    nobody = {"map": np.zeros((4, 4)), "points": np.zeros((0, 2), int), "source": "nobody"}
    folder = rewritten(labels, tmp_path / "nobody", **nobody)
    with pytest.raises(ValueError, match=r"nobody looked at image0\.png"):
        parts.read(folder, shown="image", size=24, masks=None)


def test_an_image_without_a_class_is_refused(labels, tmp_path):
    folder = rewritten(labels, tmp_path / "classless", label=-1)
    with pytest.raises(ValueError, match="images without a class"):
        parts.read(folder, shown="image", size=24, masks=None)
