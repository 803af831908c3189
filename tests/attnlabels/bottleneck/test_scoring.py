from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.bottleneck.changes import alike, changes_of
from attnlabels.bottleneck.frozen import Frozen
from attnlabels.bottleneck.scoring import (
    draw_some,
    idle_anchors,
    maps_of,
    read_tested,
    score_curves,
    score_maps,
    score_stability,
    see_all,
)
from attnlabels.interpretation.likeness import means_of
from attnlabels.interpretation.overlap import chance, iou_of_mask_size
from attnlabels.metrics.reliability import other_class
from attnlabels.shards.shards import Shards
from bottlenecks import SIZE, config_of, network_of
from painted import write_painted


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    return write_painted(tmp_path_factory.mktemp("painted"))


@pytest.fixture(scope="module")
def tested(painted):
    return read_tested(painted / "people", painted / "object", size=SIZE, crop=1.0)


def frozen_of(**encoder) -> Frozen:
    return Frozen(network_of(**encoder), config_of(**encoder))


def scored(frozen, tested, *, batch_size=5):
    seen = see_all(frozen, tested.images, batch_size=batch_size)
    maps = maps_of(frozen, tested, seen, batch_size=batch_size)
    return seen, maps


def test_images_come_with_their_objects_and_what_people_painted(tested):
    assert len(tested.names) == 12 and tested.images.shape == (12, SIZE, SIZE, 3)
    assert all(mask.sum() == 12**2 for mask in tested.objects)
    assert [each is None for each in tested.people] == [False] * 11 + [True]


def test_a_row_is_what_its_maps_score(tested):
    frozen = frozen_of()
    seen, maps = scored(frozen, tested)
    rows = score_maps(tested, seen, maps)
    assert [*maps] == ["mask", "gradient"]
    for i, row in enumerate(rows):
        assert row["top1"] == float(seen.logits[i].argmax() == tested.labels[i])
        assert row["code_bits"] == pytest.approx(float(seen.code_bits[i]))
        assert row["chance"] == pytest.approx(chance(tested.objects[i]))
        for name, each in maps.items():
            assert row[f"{name}.iou"] == pytest.approx(iou_of_mask_size(each[i], tested.objects[i]))
            assert (f"{name}.rho" in row) is (i < 11)


def test_without_mask_or_noise_there_is_the_gradient_alone(tested):
    frozen = frozen_of(mask=None, noisy=False)
    seen, maps = scored(frozen, tested)
    assert [*maps] == ["gradient"]
    (row, *_) = score_maps(tested, seen, maps)
    assert {*row} == {"top1", "chance", "gradient.iou", "gradient.rho"}
    changes = changes_of(side=0.2, radii=(4.0,))
    for row in score_stability(frozen, tested, seen, changes, seed=0, batch_size=5):
        assert {*row} == {f"{name}.{of}" for name in changes for of in ("top1", "stays")}


def test_some_images_are_drawn_in_their_order_and_not_the_first():
    some = draw_some(400, 100, seed=0)
    assert len({*some.tolist()}) == 100 and (np.diff(some) > 0).all() and some[-1] > 350
    assert draw_some(5, 100, seed=0).tolist() == [0, 1, 2, 3, 4]


def test_curves_begin_with_the_whole_image_or_with_nothing(tested):
    frozen = frozen_of()
    seen, maps = scored(frozen, tested)
    some = draw_some(12, 6, seed=3)
    rows, curves = score_curves(
        frozen,
        tested.images[some],
        tested.labels[some],
        {name: each[some] for name, each in maps.items()},
        shares=(0.0, 0.5, 1.0),
        cells=8,
        seed=0,
        batch_size=4,
    )
    right = (seen.logits.argmax(axis=1) == tested.labels)[some]
    assert len(rows) == 6
    for order in ("mask", "gradient", "random"):
        assert curves[f"deletion.{order}"][0] == curves[f"insertion.{order}"][-1] == right.mean()
        assert curves[f"deletion.{order}"][-1] == curves[f"insertion.{order}"][0]
        values = curves[f"deletion.{order}"]
        area = (values[0] + 2 * values[1] + values[2]) / 4
        assert np.mean([row[f"deletion.{order}"] for row in rows]) == pytest.approx(area)


def test_the_stability_of_a_mask_stands_beside_its_null(tested):
    frozen = frozen_of()
    seen, _ = scored(frozen, tested)
    changes = changes_of(side=0.2, radii=(4.0,))
    rows = score_stability(frozen, tested, seen, changes, seed=0, batch_size=5)
    partners = other_class(tested.labels, seed=0)
    for i, row in enumerate(rows):
        assert tested.labels[partners[i]] != tested.labels[i]
        null = alike(seen.masks[i], seen.masks[partners[i]])
        assert row["null.alike"] == pytest.approx(null)
        for name in changes:
            where = "stays" if row[f"{name}.stays"] else "turns"
            assert row[f"{name}.alike_{where}"] == row[f"{name}.alike"]
    means = means_of(rows)
    assert means["colour"]["alike"]["mean"] > means["null"]["alike"]["mean"]


def test_a_mask_that_looks_at_nothing_is_the_most_stable_and_the_null_says_so(tested):
    frozen = frozen_of(mask="centre", mask_options={"share": 0.3})
    seen, _ = scored(frozen, tested)
    changes = changes_of(side=0.2, radii=())
    for row in score_stability(frozen, tested, seen, changes, seed=0, batch_size=5):
        assert row["colour.alike"] == pytest.approx(1) and row["null.alike"] == pytest.approx(1)


def test_scores_depend_on_no_batch(tested):
    frozen = frozen_of()
    for a, b in zip(scored(frozen, tested)[0], scored(frozen, tested, batch_size=12)[0]):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_anchors_that_never_win_are_counted(tested):
    frozen = frozen_of(anchors=7)
    seen, _ = scored(frozen, tested)
    values = np.unique(seen.anchored)
    assert idle_anchors(frozen, seen) == {"anchors": 7, "idle": 7 - len(values)}
    assert 0 < len(values) < 7
    assert idle_anchors(frozen_of(), seen) == {}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda mask: mask * 0,
            r"none of the \d+ x \d+ px that the network is shown is object; draw the object, or",
        ),
        (lambda mask: mask[:20], "a mask of 20 x 32 of an image of 32 x 32; take the masks of"),
    ],
)
def test_a_mask_that_is_empty_or_of_another_size_is_named(tmp_path, harm, message):
    folder = write_painted(tmp_path)
    path = sorted((folder / "object").rglob("*.png"))[0]
    cv2.imwrite(str(path), harm(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))
    with pytest.raises(ValueError, match=message) as raised:
        read_tested(folder / "people", folder / "object", size=SIZE, crop=1.0)
    assert path.name in str(raised.value)


def test_what_people_painted_is_cut_as_the_image_is(painted, monkeypatch):
    """With it cut, a mask that is what they painted is as they painted."""
    crop, side, middle = 0.75, 24, slice(4, 28)
    maps = {}

    def looked(self, i, read=Shards.__getitem__):
        sample = read(self, i)
        if sample["source"] != "nobody":
            sample["map"] = maps[sample["name"]] = np.random.default_rng(i).random((32, 32))
        return sample

    monkeypatch.setattr(Shards, "__getitem__", looked)
    tested = read_tested(painted / "people", painted / "object", size=side, crop=crop)
    for name, map in zip(tested.names, tested.people):
        if map is not None:
            np.testing.assert_allclose(map, maps[name][middle, middle], atol=1e-6)


def test_an_image_without_a_class_is_refused(tmp_path):
    folder = write_painted(tmp_path, label=-1)
    with pytest.raises(ValueError, match="people: an image has no class"):
        read_tested(folder / "people", folder / "object", size=SIZE, crop=1.0)
