from collections import Counter

import numpy as np
import pytest

from attnlabels.psychophysics.design import (
    Cell,
    cells_of_set,
    least_used,
    n_sets,
    order_of_trials,
)

TYPES, LEVELS, IMAGES = 3, 4, 24
SQUARE = {"n_types": TYPES, "n_levels": LEVELS}
each_assignment = pytest.mark.parametrize("assignment", ["between", "within"])


def sets(assignment: str) -> list[list[Cell]]:
    return [
        cells_of_set(number, IMAGES, **SQUARE, assignment=assignment)
        for number in range(n_sets(TYPES, LEVELS))
    ]


@each_assignment
def test_over_all_sets_an_image_is_seen_once_at_each_level_of_each_type(assignment):
    for of_image in zip(*sets(assignment)):
        assert sorted(of_image) == [Cell(t, k) for t in range(TYPES) for k in range(LEVELS)]


@each_assignment
def test_in_a_set_each_level_is_as_frequent_as_another(assignment):
    for cells in sets(assignment):
        assert len(cells) == IMAGES
        assert {*Counter(cell.level for cell in cells).values()} == {IMAGES // LEVELS}


@each_assignment
def test_so_it_is_in_each_class_of_as_many_images_as_levels(assignment):
    per_class = TYPES * LEVELS if assignment == "within" else LEVELS
    for cells in sets(assignment):
        for start in range(0, IMAGES, per_class):
            of_class = Counter(cell.level for cell in cells[start : start + per_class])
            assert {*of_class.values()} == {per_class // LEVELS}


def test_between_participants_a_set_has_one_map_type_and_types_have_as_many_sets():
    types = [{cell.map_type for cell in cells} for cells in sets("between")]
    assert types == [{0}] * LEVELS + [{1}] * LEVELS + [{2}] * LEVELS


def test_within_participants_a_set_has_all_map_types_as_often():
    for cells in sets("within"):
        counted = Counter(cell.map_type for cell in cells)
        assert counted == dict.fromkeys(range(TYPES), IMAGES // TYPES)


def test_a_set_that_there_is_not_is_refused():
    for number in (-1, 12):
        with pytest.raises(ValueError, match=f"set {number}; expected one of 0 to 11"):
            cells_of_set(number, IMAGES, **SQUARE, assignment="between")


def test_the_least_used_set_is_next_so_that_uses_differ_by_one_at_most():
    uses = [2, 0, 1, 0]
    assert least_used(uses) == 1
    for _ in range(30):
        uses[least_used(uses)] += 1
        assert max(uses) - min(uses) <= 2
    assert max(uses) - min(uses) <= 1


def test_each_participant_sees_all_images_in_an_order_of_its_own():
    orders = [order_of_trials(IMAGES, seed=0, participant=i) for i in range(50)]
    assert all(sorted(order) == list(range(IMAGES)) for order in orders)
    assert len({*map(tuple, orders)}) == 50
    assert order_of_trials(IMAGES, seed=0, participant=7) == orders[7]
    firsts = np.mean([order[0] for order in orders])
    assert 7 < firsts < 16
