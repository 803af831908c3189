from pathlib import Path

import numpy as np
import pytest

from attnlabels.clickmaps.blurring import blur
from attnlabels.images.decoding import decode
from attnlabels.images.squares import resize_centre_crop
from attnlabels.interpretation.people import manner_of, read_cut_mask, read_people, read_squares
from attnlabels.shards.shards import Shards, write_shards
from painted import CLASSES, SIDE, write_painted


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    return write_painted(tmp_path_factory.mktemp("painted"))


def clicked(sample, player: int, *, counted: bool) -> np.ndarray:
    map = np.zeros((SIDE, SIDE), np.float32)
    for (row, col), by in zip(sample["points"], sample["observers"]):
        if by == player:
            map[row, col] = map[row, col] + 1 if counted else 1
    return blur(map, "box_49")


@pytest.mark.parametrize("count", ["binary", "counted"])
def test_a_players_map_is_blurred_clicks_and_nobody_has_none(painted, count) -> None:
    found = read_people(painted / "people", blur_by="box_49", count=count, map_size=SIDE, crop=1.0)
    assert found.numbers == [*range(11)] and found.nobody == 1
    assert found.players.blur == "box_49" and found.players.labels.tolist() == [0, 1, 2] * 3 + [
        0,
        1,
    ]
    for i, maps in enumerate(found.players.maps):
        sample = found.shards[i]
        by_hand = [clicked(sample, k, counted=count == "counted") for k in range(4)]
        np.testing.assert_allclose(maps, by_hand, atol=1e-6)
        np.testing.assert_allclose(found.mean_map(i), np.mean(by_hand, axis=0), atol=1e-6)


def test_maps_are_cut_as_the_image_is(painted) -> None:
    whole, cut = (
        read_people(painted / "people", blur_by="none", count="binary", map_size=size, crop=crop)
        for size, crop in ((SIDE, 1.0), (SIDE // 2, 0.5))
    )
    inner = slice(SIDE // 4, 3 * SIDE // 4)
    np.testing.assert_allclose(cut.players.maps[3], whole.players.maps[3][:, inner, inner])
    mask = read_cut_mask(painted / "object", whole.players.names[3], size=(SIDE, SIDE), crop=1.0)
    halved = read_cut_mask(painted / "object", whole.players.names[3], size=(SIDE, SIDE), crop=0.5)
    assert (halved == mask[inner, inner]).all() and mask.sum() == 144


def test_some_images_are_drawn_by_the_seed_in_order(painted) -> None:
    how = {"blur_by": "none", "count": "binary", "map_size": 8, "crop": 1.0}
    found = read_people(painted / "people", **how)
    some, other = (read_people(painted / "people", **how, some=5, seed=seed) for seed in (0, 1))
    assert len(some.numbers) == 5 and some.numbers == sorted(some.numbers) != other.numbers
    assert some.nobody == found.nobody == 1
    for i, number in enumerate(some.numbers):
        assert some.players.names[i] == found.shards[number]["name"]
        assert some.players.labels[i] == found.shards[number]["label"]
        assert (some.players.maps[i] == found.players.maps[number]).all()
    assert read_people(painted / "people", **how, some=50).numbers == found.numbers


def test_images_are_what_a_network_is_shown(painted) -> None:
    shards = Shards(painted / "people")
    found = read_squares(shards, [4, 2], size=20, crop=0.8)
    for number, square in zip((4, 2), found):
        image = decode(shards[number]["image"], name="")
        assert (square == resize_centre_crop(image, size=20, crop=0.8)).all()


@pytest.mark.parametrize("observers", [None, np.zeros(0, np.int64)])
def test_a_map_without_players_is_taken_as_it_is(painted, tmp_path, observers) -> None:
    shards = Shards(painted / "people")
    map = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    map /= map.max()
    changed = {"observers": observers, "points": shards[0]["points"][:0], "map": map}
    write_shards(
        tmp_path / "people",
        [{**shards[0], **changed}],
        maximum_count=1,
        maps_by={"kind": "players"},
        classes=CLASSES,
    )
    found = read_people(
        tmp_path / "people", blur_by="box_49", count="binary", map_size=SIDE, crop=1.0
    )
    np.testing.assert_allclose(found.players.maps[0], map[None], atol=1e-4)
    with pytest.raises(ValueError, match="people: its index tells of blur None"):
        manner_of(tmp_path / "people")


def test_shards_tell_how_their_maps_were_made(painted) -> None:
    assert manner_of(painted / "people") == ("box_49", "binary")


def test_where_nobody_painted_there_is_nothing_to_compare(tmp_path) -> None:
    folder = write_painted(tmp_path, n=1)
    with pytest.raises(ValueError, match="people: nobody painted on any of its 1 images"):
        read_people(folder / "people", blur_by="none", count="binary", map_size=8, crop=1.0)
