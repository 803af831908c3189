import cv2
import numpy as np
import pytest

from attnlabels.gathered.choosing import choose
from attnlabels.gathered.quality import Player
from attnlabels.gathered.study import read_study
from attnlabels.simulated.findings import (
    ADAPTIVE,
    FREE,
    SAME_TIME,
    compare_ways,
    painters_of,
    separate,
)
from gathered_study import CLASSES, make_study


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Rounds with and without a partner of the same images, and masks of their parts."""
    folder = tmp_path_factory.mktemp("both")
    asked = {"n_images": 8, "n_rounds": 6}
    one = make_study(folder, ["painter"] * 4 + ["bot"], name="one", **asked)
    two = make_study(folder, ["painter"] * 4, name="two", adaptive=False, **asked)
    for i, scene in enumerate(one.scenes):
        path = folder / "parts" / CLASSES[scene.label] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.rint(255 * scene.part).astype(np.uint8))
    rounds = [painters_of(choose(read_study(each.study)), each.manners) for each in (one, two)]
    return rounds, folder / "parts"


def test_painters_are_chosen_by_what_they_are(both):
    (adaptive, free), _ = both
    assert len(adaptive) == len(free) == 4 * 6


def test_who_goes_on_is_cut_off_when_the_others_stopped(both):
    (adaptive, free), parts = both
    ways = compare_ways(adaptive, free, parts=parts, reach=3, blur="box_49")
    area, on_part, half = (ways.values[name] for name in (ADAPTIVE, SAME_TIME, FREE))
    assert area.shape == on_part.shape == half.shape and area.shape[0] == 3
    assert (half[0] > on_part[0]).all()  # of who goes on, more is uncovered in the end
    table = ways.table(permutations=1000, seed=0)
    assert table[FREE]["p, area uncovered"] < 0.05
    assert "p, area uncovered" not in table[ADAPTIVE]


def test_the_same_rounds_do_not_differ(both):
    (_, free), parts = both
    ways = compare_ways(free, free, parts=parts, reach=3, blur="box_49")
    for values in ways.values.values():
        assert values == pytest.approx(ways.values[ADAPTIVE])


def test_without_images_in_common_there_is_nothing_to_compare(both):
    (adaptive, _), parts = both
    with pytest.raises(ValueError, match="no image was painted both"):
        compare_ways(adaptive, [], parts=parts, reach=3, blur="box_49")


def player(id, suspicion, colouring=1.0):
    return Player(id, 5, {"colouring": colouring}, suspicion, [])


def test_each_manner_is_told_from_the_honest_ones():
    players = {
        "a": player("a", 0.1),
        "b": player("b", 0.4),
        "c": player("c", 0.2, colouring=3.0),
        "d": player("d", 0.3),
        "e": player("e", 0.9),
    }
    manners = {"a": "painter", "b": "painter", "c": "colourist", "d": "bot", "e": "bot"}
    table = separate(players, manners)
    # of six pairs with a painter or who colours in, the bots' are higher in five
    assert table["bot"]["AUC"] == pytest.approx(5 / 6) and table["bot"]["named"] == 0.5
    assert table["colourist"]["AUC"] == 1 and "AUC" not in table["painter"]
