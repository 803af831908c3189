import pytest

from attnlabels.metrics.robustness import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERROR,
    mce,
    mean_by_corruption,
    mean_top1,
    relative_mce,
    retained,
    robustness,
)
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA


def top1(accuracy):
    """The same accuracy at all severities of a corruption."""
    return {name: {s: accuracy(name) for s in range(1, 6)} for name in (*CORRUPTIONS, *EXTRA)}


@pytest.fixture
def alexnet():
    return top1(lambda name: 1 - ALEXNET_ERROR.get(name, 0.9))


def test_alexnet_errs_as_published():
    assert tuple(ALEXNET_ERROR) == CORRUPTIONS
    assert sum(ALEXNET_ERROR.values()) / 15 == pytest.approx(0.78899, abs=5e-6)


def test_alexnet_scores_one(alexnet):
    assert mce(alexnet) == pytest.approx(1)
    assert relative_mce(alexnet, clean=1 - ALEXNET_CLEAN_ERROR) == pytest.approx(1)


def test_no_error_is_zero_and_no_added_error_is_relatively_zero():
    assert mce(top1(lambda name: 1.0)) == 0
    assert relative_mce(top1(lambda name: 0.7), clean=0.7) == pytest.approx(0)


def test_one_corruption_counts_a_fifteenth(alexnet):
    snow = {1: 0.5, 2: 0.4, 3: 0.3, 4: 0.2, 5: 0.1}  # error 0.7 on average
    changed = {**alexnet, "snow": snow}
    assert mce(changed) == pytest.approx((14 + 0.7 / 0.866816) / 15)
    clean = 1 - ALEXNET_CLEAN_ERROR
    relative = (14 + (0.7 - 0.435) / (0.866816 - 0.435)) / 15
    assert relative_mce(changed, clean=clean) == pytest.approx(relative)


def test_severities_are_summed_before_the_quotient_and_their_order_does_not_matter(alexnet):
    forwards = {**alexnet, "fog": {s: s / 10 for s in range(1, 6)}}
    backwards = {**alexnet, "fog": {s: (6 - s) / 10 for s in range(5, 0, -1)}}
    assert mce(forwards) == pytest.approx(mce(backwards))
    assert mean_by_corruption(forwards)["fog"] == pytest.approx(0.3)


def test_the_extra_corruptions_count_in_their_own_mean_alone():
    scores = top1(lambda name: 0.2 if name in EXTRA else 0.6)
    assert mean_top1(scores, CORRUPTIONS) == pytest.approx(0.6)
    assert mean_top1(scores, EXTRA) == pytest.approx(0.2)
    assert retained(scores, clean=0.8) == pytest.approx(0.75)
    assert mce(scores) == pytest.approx(sum(0.4 / error for error in ALEXNET_ERROR.values()) / 15)


def test_a_missing_corruption_is_named(alexnet):
    del alexnet["frost"], alexnet["fog"]
    with pytest.raises(ValueError, match="no accuracy for frost, fog; score all 15"):
        mce(alexnet)


def test_a_missing_severity_is_named(alexnet):
    del alexnet["snow"][4]
    with pytest.raises(ValueError, match=r"snow has the severities \[1, 2, 3, 5\]"):
        mean_top1(alexnet, CORRUPTIONS)


@pytest.mark.parametrize("value", [-0.1, 1.5, 76.7, float("nan")])
def test_per_cent_and_nan_are_no_accuracies(alexnet, value):
    with pytest.raises(ValueError, match="clean accuracy is .* from 0 to 1"):
        relative_mce(alexnet, clean=value)
    alexnet["fog"][2] = value
    with pytest.raises(ValueError, match="fog at severity 2 is .* from 0 to 1"):
        mce(alexnet)


def test_nothing_can_be_retained_of_no_accuracy(alexnet):
    with pytest.raises(ValueError, match="the clean accuracy is 0"):
        retained(alexnet, clean=0.0)


@pytest.mark.parametrize(("of_imagenet", "generated"), [(False, False), (True, True)])
def test_alexnets_errors_hold_for_no_other_images_than_its_own(alexnet, of_imagenet, generated):
    found = robustness(alexnet, clean=0.565, generated=generated, of_imagenet=of_imagenet)
    assert not {"mce", "relative_mce"} & found.keys()


def test_imagenet_c_as_published_has_both_errors_relative_to_alexnet(alexnet):
    found = robustness(alexnet, clean=1 - ALEXNET_CLEAN_ERROR, generated=False, of_imagenet=True)
    assert found["mce"] == pytest.approx(1) and found["relative_mce"] == pytest.approx(1)
