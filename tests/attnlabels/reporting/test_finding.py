import pytest

from attnlabels.reporting.finding import (
    HIGHER,
    LOWER,
    NO_EFFECT,
    NO_ERROR,
    Difference,
    draw,
    find_differences,
    place,
    tell,
)
from attnlabels.reporting.tables import Printed, PrintedCell, PrintedRow

BASELINES = {"guided_run": "plain", "other": "plain", "third": "plain"}


def made(run, rows):
    """The table of a run: by score, its difference, error and interval, as make_tables has them."""
    cells = {
        key: {
            name: PrintedCell(text="", value=value, se=None)
            for name, value in zip(("difference", "se", "t_low", "t_high"), values)
        }
        for key, values in rows.items()
    }
    printed = [PrintedRow(key=key, label=key, cells=each) for key, each in cells.items()]
    return Printed(key=f"differences_{run}", title=run, caption="", columns=[], rows=printed)


def found(**rows):
    return find_differences([made(run, each) for run, each in rows.items()], BASELINES)


ROSE, FELL, NONE = (
    (0.0618, 0.0087, 0.024, 0.099),
    (-0.2, 0.01, -0.3, -0.1),
    (0.03, 0.02, -0.01, 0.07),
)
ALONE = (0.05, None, None, None)


def test_what_rose_fell_and_shows_no_effect_is_told_from_the_intervals():
    rows = {
        "imagenet_top1": ROSE,
        "imagenet_c_mean": NONE,
        "imagenet_map": FELL,
        "cifar10_top1": ROSE,
    }
    assert tell(found(guided_run=rows), level=0.95) == [
        "Beside its baseline (plain), guided run raises probe top-1 (+0.062 ± 0.009) and lowers "
        "retrieval mAP (-0.200 ± 0.010).",
        "No effect is seen in ImageNet-C top-1 (+0.030 ± 0.020), whose 95 % interval holds zero.",
    ]


def test_several_scores_without_an_effect_are_listed():
    rows = dict.fromkeys(("imagenet_top1", "imagenet_c_mean", "imagenet_map"), NONE)
    first, second = tell(found(guided_run=rows), level=0.9)
    assert first == "Beside its baseline (plain), guided run raises no score and lowers no score."
    assert second == (
        "No effect is seen in probe top-1 (+0.030 ± 0.020), ImageNet-C top-1 (+0.030 ± 0.020) and "
        "retrieval mAP (+0.030 ± 0.020), whose 90 % intervals hold zero."
    )


def test_effects_alone_are_said_to_be_all():
    rows = {"imagenet_top1": ROSE, "eye_cc_refitted": ROSE}
    first, second = tell(found(guided_run=rows), level=0.95)
    assert "(+0.062 ± 0.009) and CC with eye fixations refitted (+0.062 ± 0.009)" in first
    assert second == "An effect is seen in each of these scores."


def test_one_seed_is_said_to_have_no_error():
    rows = {"imagenet_top1": ALONE, "imagenet_map": (-0.01, None, None, None)}
    assert tell(found(guided_run=rows), level=0.95) == [
        "Beside its baseline (plain), guided run is higher in probe top-1 (+0.050) and lower in "
        "retrieval mAP (-0.010).",
        "With one seed there is no error: no effect can be told from chance.",
    ]


def test_seeds_that_agree_have_no_error_either():
    rows = {"imagenet_top1": ROSE, "imagenet_map": (0.01, 0.0, None, None)}
    _, second = tell(found(guided_run=rows), level=0.95)
    assert second == (
        "With one seed (or seeds that agree) there is no error of retrieval mAP (+0.010)."
    )


def test_of_several_runs_the_first_score_is_told():
    rows = {"imagenet_top1": ROSE, "imagenet_map": FELL}
    alone = {"imagenet_top1": ALONE}
    assert tell(found(guided_run=rows, other=alone, third=alone), level=0.95) == [
        "Probe top-1 rises in guided run (+0.062 ± 0.009) and falls in no run, each beside its "
        "baseline.",
        "Of 2 more, with one seed and so no error, it is higher in 2 (most: other, +0.050) and "
        "lower in none.",
    ]
    lower = {"imagenet_top1": (-0.1, None, None, None)}
    equal = {"imagenet_top1": (0.0, None, None, None)}
    assert tell(found(guided_run=alone, other=lower, third=equal), level=0.95) == [
        "Of 3 runs, each beside its baseline, probe top-1 is higher in 1 (most: guided run, "
        "+0.050), lower in 1 (most: other, -0.100) and equal in 1.",
        "With one seed there is no error: no effect can be told from chance.",
    ]
    fell, none = {"imagenet_top1": FELL}, {"imagenet_top1": NONE}
    assert tell(found(guided_run=fell, other=none), level=0.95) == [
        "Probe top-1 rises in no run and falls in guided run (-0.200 ± 0.010), each beside its "
        "baseline.",
        "No effect is seen in other (+0.030 ± 0.020), whose 95 % interval holds zero.",
    ]


def test_many_runs_are_told_by_the_largest():
    names = [f"run {i}" for i in range(8)]
    runs = [
        [Difference(name, "plain", "imagenet_top1", i / 10, 0.01, (i / 10 - 0.05, i / 10 + 0.05))]
        for i, name in enumerate(names, 1)
    ]
    first, _ = tell(runs, level=0.95)
    assert "run 7 (+0.800 ± 0.010), run 6" in first and " and 3 more and falls in no run" in first
    assert "run 0" not in first


def test_nothing_is_told_of_nothing_nor_of_runs_that_are_not_compared():
    assert tell([], level=0.95) == [] == find_differences([made("alone", {})], BASELINES)
    assert found(guided_run={}) == [] == found(unknown={"imagenet_top1": ROSE})
    assert find_differences([made("simclr", {"imagenet_top1": ROSE})], BASELINES) == []


def test_a_score_that_a_run_lacks_is_left_out():
    told = found(guided_run={"imagenet_top1": ROSE, "imagenet_map": (None, None, None, None)})
    assert [[each.score for each in of_run] for of_run in told] == [["imagenet_top1"]]


@pytest.mark.parametrize(
    "values, verdict",
    [
        (ROSE, HIGHER),
        (FELL, LOWER),
        (NONE, NO_EFFECT),
        (ALONE, NO_ERROR),
        ((0, 1, 0, 2), NO_EFFECT),
    ],
)
def test_the_verdict_is_the_intervals(values, verdict):
    assert found(guided_run={"imagenet_top1": values})[0][0].verdict == verdict


def test_the_picture_of_one_run_has_its_scores_on_a_scale_a_kind():
    rows = {
        "imagenet_top1": (0.1, 0.01, 0.05, 0.15),
        "imagenet_map": (-0.05, 0.01, -0.05, -0.05),
        "eye_cc_refitted": (0.8, 0.1, 0.6, 1.0),
    }
    drawn = draw(found(guided_run=rows))
    assert drawn["alone"] and [*drawn["scores"]] == [*rows]
    (cells,) = drawn["rows"].values()
    assert cells["imagenet_top1"] == {  # of -0.05 to 0.15
        "text": "+0.100 ± 0.010",
        "verdict": HIGHER,
        "zero": 25,
        "low": 50,
        "at": 75,
        "width": 50,
    }
    assert cells["imagenet_map"]["at"] == 0
    assert (cells["eye_cc_refitted"]["zero"], cells["eye_cc_refitted"]["at"]) == (0, 80)


def test_the_picture_of_several_runs_has_a_column_a_score_on_its_own_scale():
    one = {"imagenet_top1": (0.1, None, None, None), "imagenet_map": ALONE}
    other = {"imagenet_top1": (0.2, None, None, None), "imagenet_c_retained": ALONE}
    drawn = draw(found(guided_run=one, other=other))
    assert [*drawn["scores"].values()] == ["probe top-1", "retrieval mAP"] and not drawn["alone"]
    first, second = drawn["rows"].values()
    assert [*drawn["rows"]] == ["guided run minus plain", "other minus plain"]
    assert (first["imagenet_top1"]["at"], second["imagenet_top1"]["at"]) == (50, 100)
    assert first["imagenet_map"]["at"] == 100 and "imagenet_map" not in second


def test_places_hold_zero_and_all_whiskers():
    ends = [(-0.1, 0.0, 0.1), (0.1, 0.2, 0.3)]
    assert place(ends[1], among=ends) == {"zero": 25, "low": 50, "at": 75, "width": 50}
    assert place((0.0, 0.0, 0.0), among=[(0.0, 0.0, 0.0)])["width"] == 0
