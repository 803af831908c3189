from itertools import chain

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from attnlabels.training.order import Batches


def batches(**changed):
    values = {"n_samples": 11, "batch_size": 3, "epochs": 4, "seed": 0, "start": 0} | changed
    return Batches(values.pop("n_samples"), **values)


def test_each_epoch_holds_whole_batches_of_distinct_samples():
    order = list(batches())
    assert len(order) == len(batches()) == 4 * 3
    assert all(len(batch) == 3 for batch in order)
    for epoch in range(4):
        named = list(chain(*order[3 * epoch : 3 * epoch + 3]))
        assert {each for each, _ in named} == {epoch}
        indices = [index for _, index in named]
        assert len(set(indices)) == 9 and set(indices) <= set(range(11))


def test_all_samples_are_seen_where_batches_divide_them():
    order = list(batches(n_samples=12, epochs=1))
    assert sorted(index for batch in order for _, index in batch) == list(range(12))


def test_the_remainder_left_out_differs_between_epochs():
    order = list(batches(n_samples=11, epochs=20))
    left = [
        frozenset(range(11)) - {index for batch in order[3 * e : 3 * e + 3] for _, index in batch}
        for e in range(20)
    ]
    assert all(len(each) == 2 for each in left) and len(set(left)) > 5


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    order = list(batches())
    assert order == list(batches())
    # the same in a run that is planned longer, whatever was drawn from NumPy meanwhile
    np.random.default_rng(0).random(3)
    assert order == list(batches(epochs=9))[:12]


def test_another_seed_and_another_epoch_give_another_order():
    order, other = list(batches(n_samples=60)), list(batches(n_samples=60, seed=1))
    assert order[0] != other[0]
    first, second = ([i for batch in order[20 * e : 20 * e + 20] for _, i in batch] for e in (0, 1))
    assert sorted(first) == sorted(second) and first != second
    # seed and epoch are no sum: epoch 1 of seed 0 is not epoch 0 of seed 1
    assert second != [i for batch in other[:20] for _, i in batch]


@pytest.mark.parametrize("start", range(13))
def test_a_resumed_run_sees_the_batches_that_remained(start):
    resumed = batches(start=start)
    assert list(resumed) == list(batches())[start:]
    assert len(resumed) == 12 - start


def test_it_can_be_read_twice():
    order = batches(start=5)
    assert list(order) == list(order)


def test_indices_are_plain_integers():
    epoch, index = next(iter(batches()))[0]
    assert type(epoch) is int and type(index) is int


def test_samples_that_do_not_fill_a_batch_are_refused():
    with pytest.raises(ValueError, match="2 samples do not fill one batch of 3; lower batch_size"):
        batches(n_samples=2)
    assert len(batches(n_samples=3)) == 4


class Names(Dataset):
    """Items are what they were asked for."""

    def __getitem__(self, item):
        return np.array(item)


def test_a_loader_takes_it_as_its_batch_sampler():
    loaded = [batch.tolist() for batch in DataLoader(Names(), batch_sampler=batches(start=4))]
    assert loaded == [[list(each) for each in batch] for batch in batches(start=4)]
