import threading

from attnlabels.labelling.batches import cut, one_ahead


def test_rows_are_cut_into_pieces_of_which_the_last_may_be_shorter():
    assert cut(range(7), 3) == [range(3), range(3, 6), range(6, 7)]
    assert cut(range(2, 6), 2) == [range(2, 4), range(4, 6)]
    assert cut(range(0), 3) == []


def test_one_ahead_is_map_with_the_next_already_under_way():
    begun = threading.Event()

    def double(item):
        if item == 1:
            begun.set()
        return 2 * item

    results = one_ahead(double, range(4))
    assert next(results) == 0
    assert begun.wait(10)  # while the caller is at the first
    assert list(results) == [2, 4, 6]
    assert list(one_ahead(double, [])) == []
