import numpy as np
import pytest

from attnlabels.tasks.examples import (
    Examples,
    Watched,
    brought_to,
    centres,
    derangement,
    divide,
    maps_given,
)


def some(n: int = 6) -> Examples:
    rng = np.random.default_rng(0)
    return Examples(
        keys=[f"k{i}" for i in range(n)],
        shown=rng.random((n, 3, 8, 8)).astype(np.float32),
        target=np.arange(n),
        maps=rng.random((n, 8, 8)).astype(np.float32),
        points=[rng.integers(0, 8, (4, 2)) for _ in range(n)],
        n_outputs=2,
        pictures=np.zeros((n, 8, 8, 3), np.uint8),
    )


@pytest.mark.parametrize("n", [2, 3, 10, 101])
def test_a_derangement_leaves_nothing_where_it_is(n):
    moved = derangement(n, seed=0)
    assert sorted(moved) == [*range(n)] and (moved != np.arange(n)).all()


def test_one_example_has_no_other():
    with pytest.raises(ValueError, match="1 examples; two or more"):
        derangement(1, seed=0)


def test_maps_are_people_s_others_or_the_centre():
    examples = some()
    assert maps_given(examples, "people", seed=0) is examples.maps
    shuffled = maps_given(examples, "shuffled", seed=0)
    assert {each.tobytes() for each in shuffled} == {each.tobytes() for each in examples.maps}
    assert not any(np.array_equal(*pair) for pair in zip(shuffled, examples.maps))
    centre = maps_given(examples, "centre", seed=0)
    assert np.array_equal(centre, centres(examples)) and centre[0].argmax() in (27, 28, 35, 36)


def test_what_is_held_out_is_a_share_and_no_part_of_the_rest():
    own, held = divide(10, share=0.2, seed=0)
    assert len(held) == 2 and sorted([*own, *held]) == [*range(10)]
    assert not np.array_equal(held, divide(10, share=0.2, seed=2)[1])
    for share in (0.01, 0.99):
        with pytest.raises(ValueError, match=f"development = {share} holds"):
            divide(10, share=share, seed=0)


def test_the_chosen_are_those_of_these_numbers():
    chosen = some().chosen(np.array([4, 1]))
    assert chosen.keys == ["k4", "k1"] and chosen.target.tolist() == [4, 1]
    assert np.array_equal(chosen.shown[0], some().shown[4])
    assert np.array_equal(chosen.points[1], some().points[1])


def test_an_item_is_what_a_step_is_given():
    examples = some()
    watched = Watched(examples, centres(examples))
    item = watched[(3, 2)]
    assert item["index"] == 2 and watched.key_of(2) == "k2" and len(watched) == 6
    assert np.array_equal(item["shown"], examples.shown[2])
    assert np.array_equal(item["map"], centres(examples)[2])


def test_maps_are_brought_to_another_size():
    maps = np.tile(np.linspace(0, 1, 4, dtype=np.float32), (2, 4, 1))
    large = brought_to(maps, (8, 8))
    assert large.shape == (2, 8, 8) and (np.diff(large, axis=2) >= 0).all()
