import pytest

from attnlabels.shards.keys import key_of
from attnlabels.shards.shards import KEY


@pytest.mark.parametrize(
    ("stem", "key"), [("a/b.c", "a-b_c"), ("n01/n01_7", "n01-n01_7"), ("x-1", "x-1")]
)
def test_a_key_is_the_name_without_what_would_end_it(stem, key):
    assert key_of(stem) == key


def test_a_name_that_makes_no_key_gets_one_with_a_digest_of_the_whole():
    keys = {key_of(stem) for stem in ("Füße", "Fuesse (1)", "long" * 40, "long" * 41)}
    assert len(keys) == 4 and all(KEY.fullmatch(key) for key in keys)
