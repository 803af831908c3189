import json

import numpy as np
import pytest

from attnlabels.reporting.charts import (
    SHADES,
    colour_scales,
    heat,
    histogram,
    line,
    line_styles,
    share_limits,
)
from attnlabels.reporting.legend import RUN_COLOURS


def test_two_dozen_runs_are_told_apart_and_as_many_are_on_as_there_are_colours():
    styles = line_styles(f"run_{i}" for i in range(24))
    looks = {(style["colour"], style["dashes"]) for style in styles.values()}
    assert len(looks) == len(styles) == 24 + 3
    runs = [style for key, style in styles.items() if not key.startswith("/")]
    assert [style["on"] for style in runs] == [i < len(RUN_COLOURS) for i in range(24)]
    assert runs[3]["label"] == "run 3"


def test_a_line_is_the_mean_over_seeds_with_its_standard_error():
    x = np.array([0.0, 1.0])
    several = line("a", [np.array([1.0, 5.0]), np.array([3.0, 5.0])], x)
    assert several == {"line": "a", "x": [0, 1], "y": [2, 5], "se": [1, 0]}
    assert "se" not in line("a", [np.array([1.0, 5.0])], x)


def test_numbers_are_no_longer_than_a_screen_shows():
    drawn = line("a", [np.array([1 / 3, 1e-6 / 7])], np.array([0.0, 1.0]))
    assert drawn["y"] == [0.3333, 1.429e-07]


def test_a_histogram_has_an_area_of_one_and_its_mean():
    values = np.random.default_rng(0).normal(0.2, 0.2, 500).clip(-1, 1)
    outline, mean = histogram("a", values)
    assert np.trapezoid(outline["y"], outline["x"]) == pytest.approx(1, abs=1e-3)
    assert outline["y"][0] == outline["y"][-1] == 0
    assert mean == {"line": "a", "at": round(values.mean(), 4)}


def test_a_table_of_shades_says_how_sure_it_is():
    one, two = np.array([[0.1, np.nan]]), np.array([[0.3, np.nan]])
    table = heat([one, two], "sequential")
    assert json.dumps(table["values"], allow_nan=False) == "[[0.2, null]]"
    assert table["note"] == "Mean of 2 seeds; the standard error of a cell is about 10.0 points."
    assert heat([one], "sequential")["note"] == "Mean of 1 seed."


def test_diverging_shades_are_white_at_zero():
    tables = [heat([np.array([[-0.1, 0.3]])], "diverging"), heat([np.zeros((1, 2))], "diverging")]
    share_limits(tables)
    assert [table["limits"] for table in tables] == [[-0.3, 0.3]] * 2
    middle = colour_scales()["diverging"][SHADES // 2]
    assert all(int(middle[i : i + 2], 16) > 0xF0 for i in (1, 3, 5))


def test_sequential_shades_grow_lighter():
    weights = ((1, 0.2126), (3, 0.7152), (5, 0.0722))  # of red, green and blue
    light = [
        sum(int(colour[i : i + 2], 16) * weight for i, weight in weights)
        for colour in colour_scales()["sequential"]
    ]
    assert light == sorted(light) and len(light) == SHADES
