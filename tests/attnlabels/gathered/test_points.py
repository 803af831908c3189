import numpy as np
import pytest

from attnlabels.gathered.points import map_of, on_square, points_of
from attnlabels.gathered.study import Image, Round, Samples

IMAGE = Image(number=0, path="a/a.png", label="a", width=20, height=10, sha256="", catch=False)


def round_of(samples, task="paint"):
    t, x, y, event = zip(*samples)
    return Round(
        id="r",
        participant="p",
        image=IMAGE,
        task=task,
        kind="play",
        position=0,
        handed="",
        finished="",
        outcome="done",
        score=None,
        duration_ms=100.0,
        samples=Samples(np.array(t, float), np.array([x, y], float).T, [*event]),
        guesses=[],
        checks={},
        shown={"hidden": 0},
    )


SAMPLES = [
    (0, 1, 1, "down"),
    (5, 2.5, 3.25, "bubble"),
    (6, 4, 4, "move"),
    (7, 7.9999, 9.9, "bubble"),
    (8, 20, 10, "bubble"),
    (9, -0.5, 3, "bubble"),
    (10, 8, 8, "click"),
]


@pytest.mark.parametrize(
    ("task", "expected"),
    [("paint", [[3, 2], [9, 8], [9, 19]]), ("peek", [[8, 8]]), ("look", [[4, 4]])],
    ids=["paint", "peek", "look"],
)
def test_what_counts_is_of_the_task(task, expected):
    points = points_of(round_of(SAMPLES, task))
    assert points.cells.tolist() == expected
    assert points.outside == (1 if task == "paint" else 0)


def test_what_was_brought_to_the_edge_is_in_the_last_pixel():
    points = points_of(round_of([(0, 20, 10, "bubble"), (1, 20.01, 5, "bubble")]))
    assert points.cells.tolist() == [[9, 19]] and points.outside == 1
    assert (points.xy < (20, 10)).all()


def test_an_image_is_stretched_to_a_square():
    points = points_of(round_of([(0, 0, 0, "bubble"), (1, 10, 5, "bubble"), (2, 20, 10, "bubble")]))
    assert on_square(points, IMAGE, side=8).tolist() == [[0, 0], [4, 4], [7, 7]]


def test_a_map_is_of_places_and_blurred():
    places = np.array([[4, 4], [4, 4], [0, 7]])
    map = map_of(places, side=8, count="counted", blur_by="none")
    assert map[4, 4] == 2 and map[0, 7] == 1 and map.sum() == 3
    blurred = map_of(places, side=32, count="binary", blur_by="box_49")
    assert blurred[4, 4] == blurred[5, 5] > 0 and blurred.max() < 1
