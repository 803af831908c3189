import cv2
import numpy as np
import pytest

from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Sample, Shards, write_shards
from attnlabels.training.samples import Augmentation, Clean, Views

SIDES = (60, 80)  # height, width
PLAIN = Augmentation(area=(0.2, 1.0), jittered=0.0, strength=0.0, hue=0.0, grey=0.0, blurred=0.0)


@pytest.fixture
def blob(tmp_path) -> Shards:
    """One grey photograph of a smooth hill, whose map is the hill itself."""
    y, x = np.mgrid[: SIDES[0], : SIDES[1]]
    hill = np.exp(-((x - 50) ** 2 + (y - 22) ** 2) / (2 * 14**2))
    grey = np.rint(255 * hill).astype(np.uint8)
    _, png = cv2.imencode(".png", np.repeat(grey[..., None], 3, axis=2))
    sample = Sample(
        key="a",
        image=png.tobytes(),
        map=hill,
        points=np.array([[22, 50]], np.int16),
        observers=None,
        label=0,
        grid=SIDES,
        image_size=SIDES,
        source="hill",
        name="a.png",
    )
    maps_by = {"kind": "masks"}
    write_shards(tmp_path / "s", [sample], maximum_count=1, maps_by=maps_by, classes=["hill"])
    return Shards(tmp_path / "s")


@pytest.fixture
def unpainted(tmp_path, blob) -> Shards:
    """The same photograph, on which nobody painted."""
    nothing = {"map": np.zeros((8, 8)), "points": np.zeros((0, 2), np.int16), "source": NOBODY}
    sample = Sample(**{**blob[0], **nothing})
    maps_by = {"kind": "players"}
    write_shards(tmp_path / "n", [sample], maximum_count=1, maps_by=maps_by, classes=["hill"])
    return Shards(tmp_path / "n")


def views(shards: Shards, *, map_size: int | None, clean: Clean | None = None) -> Views:
    return Views(
        shards,
        np.array([0]),
        n_views=1,
        augmentation=PLAIN,
        image_size=32,
        clean=clean,
        seed=0,
        map_size=map_size,
    )


def test_noise_depends_on_seed_epoch_and_image_and_changes_no_view(blob):
    drawn = {"n_views": 1, "augmentation": PLAIN, "image_size": 32, "clean": None}
    plain, noisy, other = (
        Views(blob, np.array([0]), **drawn, seed=seed, noise=numbers)
        for seed, numbers in ((0, 0), (0, 500), (1, 500))
    )
    assert "noise" not in plain[0, 0]
    sample = noisy[0, 0]
    assert (sample["view0"] == plain[0, 0]["view0"]).all()
    assert sample["noise"].shape == (500,) and sample["noise"].dtype == np.float32
    assert abs(sample["noise"].mean()) < 0.2 and 0.9 < sample["noise"].std() < 1.1
    assert (noisy[0, 0]["noise"] == sample["noise"]).all()
    for another in (noisy[1, 0], other[0, 0]):
        assert (another["noise"] != sample["noise"]).any()


def test_a_views_map_is_cropped_and_mirrored_with_it(blob):
    shown = views(blob, map_size=32)
    seen = set()
    for epoch in range(12):
        item = shown[epoch, 0]
        assert item["map0"].shape == (32, 32) and item["map0"].dtype == np.float32
        grey = item["view0"][..., 0] / 255
        assert np.abs(grey - item["map0"]).max() < 0.06  # the map is stored at the image's size
        seen.add(round(float(item["map0"][:, :16].sum()) / float(item["map0"].sum()), 2))
    assert len(seen) > 6 and min(seen) < 0.5 < max(seen)  # sides were changed


def test_without_a_size_there_is_no_map_and_the_views_are_the_same(blob):
    with_map, without = views(blob, map_size=8)[3, 0], views(blob, map_size=None)[3, 0]
    assert "map0" not in without and with_map["map0"].shape == (8, 8)
    np.testing.assert_array_equal(with_map["view0"], without["view0"])


def test_the_clean_parts_are_as_without_it(blob):
    clean = Clean(image_size=24, map_size=6, crop=1.0)
    parts = views(blob, map_size=8, clean=clean)[0, 0]
    for key, part in clean.parts(
        blob[0], cv2.imdecode(np.frombuffer(blob[0]["image"], np.uint8), cv2.IMREAD_COLOR)
    ).items():
        np.testing.assert_array_equal(parts[key], part)


@pytest.mark.parametrize("clean", [None, Clean(image_size=24, map_size=6, crop=1.0)])
def test_maps_that_no_image_has_are_not_learnt_from_in_silence(unpainted, clean):
    assert len(views(unpainted, map_size=None)) == 1
    with pytest.raises(ValueError, match="none of the 1 images to train on has a map"):
        views(unpainted, map_size=None if clean else 8, clean=clean)
