import numpy as np
import pytest

from attnlabels.labelling.labeller import Manner
from attnlabels.labelling.relabelling import Relabel, parts_of, with_points
from attnlabels.labelling.skipped import Unlabelled
from attnlabels.labelling.sources import Label, Unknown
from attnlabels.shards.shards import Shards

MANNER = Manner(
    map_size=12, density_sigma=(0.4, 0.4), sigma=(0.4, 0.4), threshold=0.2, maximum_points=4
)


@pytest.fixture(scope="module")
def shards(write_labels, tmp_path_factory):
    return Shards(write_labels(tmp_path_factory.mktemp("labels") / "train", seed=0))


def peak(row, col):
    map = np.zeros((12, 12), np.float32)
    map[row, col] = 1
    return map


def test_parts_are_the_images_of_each_shard(shards):
    assert parts_of(shards) == {
        "shard-000000.tar": range(10),
        "shard-000001.tar": range(10, 18),
    }


def test_points_are_found_in_the_map_in_a_teachers_manner_alone():
    found = with_points(Label(peak(3, 5)), MANNER, (30, 36))
    assert found.points.tolist() == [[3, 5]] and found.grid == (12, 12)
    without = with_points(Label(peak(3, 5)), None, (30, 36))
    assert without.points.shape == (0, 2) and without.grid == (12, 12)
    with pytest.raises(Unknown, match="its map is the same everywhere"):
        with_points(Label(np.ones((12, 12), np.float32)), MANNER, (30, 36))


def test_an_image_of_which_the_source_knows_nothing_stops_or_is_left_out(shards):
    def draw(i, sample):
        if i == 1:
            raise Unknown("nobody looked")
        return Label(peak(i, i))

    skipped = []
    relabel = Relabel(shards, draw, "mine", MANNER, "skip", "ask them")
    samples = list(relabel(range(3), skipped))
    assert [each["key"] for each in samples] == [shards[0]["key"], shards[2]["key"]]
    assert skipped == [shards[1]["name"]] and samples[1]["points"].tolist() == [[2, 2]]
    assert samples[0]["source"] == "mine" and samples[0]["image"] == shards[0]["image"]
    stopping = Relabel(shards, draw, "mine", MANNER, "stop", "ask them")
    with pytest.raises(Unlabelled, match="image1.png: nobody looked; ask them"):
        list(stopping(range(3), skipped))
