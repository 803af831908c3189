import numpy as np
import pytest

from attnlabels.scenes.observers import (
    attention_map,
    centre_gaussian,
    eye_fixations,
    fixation_durations,
    mouse_samples,
)

EYE = {"n_observers": 15, "n_fixations": 9.4, "interest_sd": 0.6, "error_px": 1.0}
MOUSE = {"n_observers": 30, "n_targets": 5, "n_samples": 30, "interest_sd": 0.5}
OBJECT = {
    "object_weight": 0.5,
    "contrast_weight": 0.15,
    "centre_weight": 0.25,
    "centre_sigma": 0.25,
}


def picture(height=48, width=64):
    """Grey noise on the left half, an object (mask) low on the right."""
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 128, np.uint8)
    image[:, : width // 2] = rng.integers(0, 256, (height, width // 2, 1))
    mask = np.zeros((height, width), np.float32)
    mask[30:42, 44:58] = 1
    return image, mask


def attention(**changed):
    return attention_map(*picture(), **(OBJECT | changed))


def eyes(seed=0, **changed):
    return eye_fixations(np.random.default_rng(seed), attention(), **(EYE | changed))


def mice(seed=0, **changed):
    return mouse_samples(np.random.default_rng(seed), attention(), **(MOUSE | changed))


def share(trails, condition):
    points = np.concatenate(trails)
    return condition(points[:, 0], points[:, 1]).mean()


def on_object(row, col):  # counted from 1
    return (row > 30) & (row <= 42) & (col > 44) & (col <= 58)


def near_centre(row, col):
    return np.hypot(row - 24.5, col - 32.5) < 6


def test_attention_is_a_distribution():
    p = attention()
    assert p.sum() == pytest.approx(1)
    assert p.min() > 0  # the rest is spread evenly
    assert p.min() >= 0.1 / p.size


def test_each_weight_draws_attention_to_its_own_place():
    none = {"object_weight": 0.0, "contrast_weight": 0.0, "centre_weight": 0.0}
    np.testing.assert_allclose(attention(**none), 1 / (48 * 64))
    objects = attention(**(none | {"object_weight": 1.0}))
    assert objects[30:42, 44:58].sum() > 0.6
    contrast = attention(**(none | {"contrast_weight": 1.0}))
    assert contrast[:, :32].sum() > 0.85  # the noisy half
    centre = attention(**(none | {"centre_weight": 1.0}))
    np.testing.assert_allclose(centre, centre_gaussian(48, 64, sigma=0.25))


def test_the_mixture_is_linear_in_its_weights():
    none = {"object_weight": 0.0, "contrast_weight": 0.0, "centre_weight": 0.0}
    parts = [
        weight * attention(**(none | {name: 1.0}))
        for name, weight in OBJECT.items()
        if name.endswith("weight")
    ]
    np.testing.assert_allclose(attention(), sum(parts) + 0.1 / (48 * 64))


def test_the_centre_gaussian_falls_by_the_root_of_e_a_sigma_away():
    bump = centre_gaussian(41, 81, sigma=10 / 41)
    assert bump.sum() == pytest.approx(1)
    assert bump[30, 40] / bump[20, 40] == pytest.approx(np.exp(-0.5))
    assert bump.argmax() == 20 * 81 + 40


def test_eyes_look_at_the_object_more_than_chance():
    chance = 12 * 14 / (48 * 64)
    assert share(eyes(), on_object) > 5 * chance
    assert share(mice(), on_object) > 3 * chance


def test_mouse_samples_are_more_central_than_fixations_and_more_of_them():
    assert share(mice(), near_centre) > 1.3 * share(eyes(), near_centre)
    assert sum(map(len, mice())) > 3 * sum(map(len, eyes()))


@pytest.mark.parametrize("trails", [eyes(error_px=30.0), mice()])
def test_points_are_whole_inside_the_image_and_counted_from_1(trails):
    for points in trails:
        assert points.dtype == np.int64 and points.shape[1] == 2
        assert points.min() >= 1
        assert points[:, 0].max() <= 48 and points[:, 1].max() <= 64
    points = np.concatenate(trails)
    assert points[:, 1].max() > 48  # columns come second


def test_errors_push_fixations_up_to_the_first_and_last_pixel_only():
    points = np.concatenate(eyes(error_px=100.0))
    assert set(points.min(axis=0)) == {1}
    assert tuple(points.max(axis=0)) == (48, 64)


def test_each_observer_makes_about_the_number_of_fixations_asked_for():
    counts = [len(each) for each in eyes(n_observers=300)]
    assert np.mean(counts) == pytest.approx(9.4, abs=0.4)
    assert min(counts) >= 2


def test_a_mouse_starts_at_the_centre_and_never_repeats_a_point_in_a_row():
    for points in mice():
        assert np.abs(points[0] - [24.5, 32.5]).max() < 3
        assert np.any(points[1:] != points[:-1], axis=1).all()
        assert len(points) <= 30


def test_observers_disagree_more_the_stronger_their_interests():
    def spread(interest_sd):
        trails = eyes(n_observers=40, n_fixations=60.0, interest_sd=interest_sd)
        return np.std([each.mean(axis=0) for each in trails], axis=0).sum()

    assert spread(1.5) > 1.5 * spread(0.0)


def test_the_generator_decides():
    np.testing.assert_array_equal(np.concatenate(eyes(3)), np.concatenate(eyes(3)))
    assert not np.array_equal(mice(3)[0], mice(4)[0])


def test_durations_are_milliseconds_with_the_mean_of_osie():
    lasted = fixation_durations(np.random.default_rng(0), 5000)
    assert min(lasted) >= 20
    assert np.mean(lasted) == pytest.approx(215, rel=0.05)


@pytest.mark.parametrize("changed", [{"object_weight": 0.9}, {"centre_weight": -0.1}])
def test_weights_that_are_no_mixture_are_refused(changed):
    with pytest.raises(ValueError, match="weights of attention"):
        attention(**changed)


def test_an_invisible_object_is_refused():
    image, mask = picture()
    with pytest.raises(ValueError, match="mask of objects is empty"):
        attention_map(image, 0 * mask, **OBJECT)
