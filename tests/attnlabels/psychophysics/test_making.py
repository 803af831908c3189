import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import label

from attnlabels.images.decoding import read_image
from attnlabels.psychophysics import making
from attnlabels.psychophysics.making import (
    Chosen,
    Making,
    draw_strangers,
    make_experiment,
    orders_of,
)
from attnlabels.psychophysics.trials import read_practice, read_stimuli
from painted import SIDE, write_painted_pictures

MAKING = Making(
    shares=(0.0, 0.1, 0.3, 1.0),
    per_class=3,
    side=None,
    alpha=6.0,
    noise=0.5,
    background="grey",
    controls=("distance", "random", "other_image"),
    assignment="between",
    missing="stop",
    seed=0,
)
TYPES = ("part", "object", "distance", "random", "other_image")


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    return write_painted_pictures(tmp_path_factory.mktemp("painted"))


@pytest.fixture
def make(painted, tmp_path):
    """Makes an experiment of the masks of parts and objects, with changes to MAKING."""

    def call(*, images: Path = painted / "images", out: str = "out", **changed):
        maps = {name: painted / name for name in ("part", "object")}
        made = make_experiment(maps, images, tmp_path / out, making=replace(MAKING, **changed))
        return made, tmp_path / out, read_stimuli(tmp_path / out / "stimuli.csv")

    return call


def test_each_image_is_in_each_cell_once_over_the_sets(make):
    made, _, stimuli = make()
    assert made == {"images": 9, "map types": 5, "levels": 4, "sets": 20, "pictures": 108}
    assert len(stimuli) == 20 * 9
    counted = stimuli.groupby(["image", "map_type", "share"]).size()
    assert len(counted) == 9 * 5 * 4 and (counted == 1).all()
    assert (stimuli.groupby("set")["map_type"].nunique() == 1).all()
    assert [*dict.fromkeys(stimuli["map_type"])] == [*TYPES]
    assert {*stimuli["class"]} == {*"abc"} and (stimuli["class"] == stimuli["image"].str[0]).all()


def test_images_to_practise_with_are_whole_and_in_no_set(make, painted):
    made, out, stimuli = make(practice=1, per_class=2)
    practice = read_practice(out / "practice.csv")
    assert made["to practise"] == 3 and [*practice["class"]] == [*"abc"]
    assert not {*practice["image"]} & {*stimuli["image"]}
    for _, row in practice.iterrows():
        whole = read_image(painted / "images" / row["image"])
        assert (read_image(out / row["stimulus"]) == whole).all()


def test_setting_none_aside_leaves_all_as_it_was(make):
    made, out, _ = make()
    assert not (out / "practice.csv").exists() and "to practise" not in made


def test_setting_too_many_aside_is_refused(make):
    with pytest.raises(ValueError, match="3 are asked for, beside 2 to practise; take fewer"):
        make(practice=2)


def test_pictures_show_as_many_pixels_of_the_image_for_all_map_types(make):
    _, out, stimuli = make()
    for _, row in stimuli[stimuli["share"].between(0.05, 0.5)].iterrows():
        shown = (read_image(out / row["stimulus"]) != 128).any(axis=2)
        assert row["pixels"] == round(row["share"] * SIDE**2)
        # a pixel of the image may be grey by itself
        assert 0 <= row["pixels"] - row["lost"] - shown.sum() <= 3
        centre = np.argwhere(shown).mean(axis=0)
        assert row["lost"] or (abs(centre - (SIDE - 1) / 2) < 1).all()
    pixels = stimuli.groupby("share")["pixels"].nunique()
    assert (pixels == 1).all()


def test_nothing_and_everything_are_the_same_picture_for_all_map_types(make, painted):
    _, out, stimuli = make()
    for share in (0.0, 1.0):
        own = stimuli[(stimuli["share"] == share) & (stimuli["image"] == stimuli["image"][0])]
        assert own["stimulus"].nunique() == 1
        picture = read_image(out / own["stimulus"].iloc[0])
        if share:
            assert (picture == read_image(painted / "images" / own["image"].iloc[0])).all()
        else:
            assert (picture == 128).all()


def test_what_a_map_marks_is_revealed_first(make, painted):
    # the object is as bright as nothing else is
    _, out, stimuli = make(shares=(0.1, 1.0))
    few = stimuli[stimuli["share"] == 0.1]
    bright = {
        name: np.mean(
            [(read_image(out / path).max(axis=2) > 130).sum() for path in own["stimulus"]]
        )
        for name, own in few.groupby("map_type")
    }
    assert bright["object"] > 1.5 * bright["random"]
    assert bright["object"] > 1.5 * bright["other_image"]


def test_regions_are_connected(make):
    _, out, stimuli = make(shares=(0.05, 1.0))
    for path in stimuli["stimulus"][stimuli["share"] == 0.05]:
        shown = (read_image(out / path) != 128).any(axis=2)
        assert label(shown, np.ones((3, 3)))[1] == 1


def test_the_same_parameters_give_the_same_bytes_and_another_seed_others(make):
    _, first, _ = make(background="other")
    _, second, _ = make(background="other", out="again")
    one, two = (
        {
            str(path.relative_to(each)): path.read_bytes()
            for path in each.rglob("*")
            if path.is_file()
        }
        for each in (first, second)
    )
    assert one == two and len(one) > 100
    _, third, _ = make(background="other", out="other", seed=1)
    assert (third / "stimuli.csv").read_bytes() != (first / "stimuli.csv").read_bytes()


def test_a_background_is_the_same_for_all_that_is_revealed_of_an_image(make):
    _, out, stimuli = make(background="own")
    own = stimuli[stimuli["image"] == stimuli["image"][0]]
    blank = read_image(out / own["stimulus"][own["share"] == 0].iloc[0])
    assert blank.std() > 5
    for path in own["stimulus"][own["share"] == 0.1]:
        same = (read_image(out / path) == blank).all(axis=2)
        assert same.mean() > 0.85


def test_images_keep_their_shape_and_get_the_side(make, tmp_path, painted):
    images = Path(shutil.copytree(painted / "images", tmp_path / "wide"))
    wide = next(iter(sorted(images.glob("a/*.png"))))
    cv2.imwrite(str(wide), np.zeros((SIDE, 2 * SIDE, 3), np.uint8))
    _, out, stimuli = make(images=images, per_class=None, side=16)
    sizes = {read_image(out / path).shape[:2] for path in stimuli["stimulus"]}
    assert sizes == {(16, 16), (16, 32)}


def test_strangers_are_any_other_images():
    strangers = draw_strangers(400, seed=0)
    assert all(i != stranger for i, stranger in enumerate(strangers))
    of_own_class = np.mean([i // 100 == stranger // 100 for i, stranger in enumerate(strangers)])
    assert 0.15 < of_own_class < 0.35


def test_an_image_without_a_map_stops_all_or_gives_way_to_another(make, tmp_path, painted):
    images = Path(shutil.copytree(painted / "images", tmp_path / "more"))
    for i in range(20):
        shutil.copy(next((painted / "images/a").iterdir()), images / f"a/unknown{i}.png")
    with pytest.raises(ValueError, match="part/a/unknown.*: no map there .*; put it there"):
        make(images=images)
    assert not (tmp_path / "out").exists()
    _, _, stimuli = make(images=images, missing="skip")
    assert not stimuli["image"].str.contains("unknown").any()
    with pytest.raises(ValueError, match="more/a: 4 images with all maps, 9 are asked for; take"):
        make(images=images, missing="skip", per_class=9, out="other")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shares": (0.1, 1.2)}, r"shares \[0.1, 1.2\]; expected some from 0 to 1"),
        ({"shares": (0.3, 0.1)}, "each above the one before"),
        ({"shares": ()}, "shares .*; expected some"),
        ({"controls": ("random", "random")}, "'random' is another map type's name"),
        ({"per_class": 5}, "images with all maps, 5 are asked for"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(make, tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        make(**changed)
    assert not (tmp_path / "out").exists()


def test_images_that_do_not_fit_are_named(make, tmp_path, painted):
    images = Path(shutil.copytree(painted / "images", tmp_path / "images"))
    (images / "a/notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="images: a/notes.txt is no image .*; mend or remove it"):
        make(images=images)
    (images / "a/notes.txt").unlink()
    first = next(iter((images / "b").iterdir()))
    shutil.copy(first, first.with_suffix(".jpg"))
    with pytest.raises(ValueError, match="two images b/.* that differ in their endings; rename"):
        make(images=images)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; name one of images"):
        make(images=tmp_path / "nowhere")


def test_one_folder_of_maps_is_nothing_to_compare(painted, tmp_path):
    with pytest.raises(ValueError, match="part: nothing to compare; name two or more"):
        make_experiment(
            {"part": painted / "part"},
            painted / "images",
            tmp_path / "out",
            making=replace(MAKING, controls=()),
        )


def test_what_is_in_the_way_stays_as_it_was(make, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="out is there already; name another place"):
        make()
    assert (tmp_path / "out/thesis.txt").read_text() == "years of work"


def test_an_experiment_is_not_replaced_also_if_it_came_while_another_was_made(
    make, tmp_path, monkeypatch
):
    _, first, _ = make(out="first")
    write_rows = making.write_rows

    def write_late(path, *rest, **options):
        write_rows(path, *rest, **options)
        shutil.copytree(first, tmp_path / "out")  # with its mark, by which it could be replaced

    monkeypatch.setattr(making, "write_rows", write_late)
    with pytest.raises(FileExistsError, match="out is there already; name another place"):
        make(seed=1)
    table = (tmp_path / "out/stimuli.csv").read_bytes()
    assert table == (first / "stimuli.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"first", "out"}


def test_an_empty_folder_is_filled(make, tmp_path):
    (tmp_path / "out").mkdir()
    _, _, stimuli = make()
    assert len(stimuli)


def test_the_control_distance_begins_where_the_first_map_does_and_knows_no_more_of_it():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    long = np.exp(-((y - 9) ** 2 / 4 + (x - 20) ** 2 / 60))
    point = ((y == 9) & (x == 20)).astype(float)
    image = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    chosen = [
        Chosen("a/1.png", "a", image, {"first": first, "second": rng.random((SIDE, SIDE))})
        for first in (long, point)
    ]
    one, other = (orders_of([each, each], 0, 1, MAKING) for each in chosen)
    assert one["distance"][9, 20] == 0 and (one["distance"] == other["distance"]).all()
    assert (one["first"] != one["distance"]).any()
