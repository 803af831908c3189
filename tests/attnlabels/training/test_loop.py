import math

import pytest

from attnlabels.training.loop import warmup_cosine


def test_rises_linearly_from_zero_to_one() -> None:
    factors = [warmup_cosine(step, warmup_steps=4, total_steps=20) for step in range(5)]
    assert factors == [0, 0.25, 0.5, 0.75, 1]


def test_falls_along_a_cosine_to_zero() -> None:
    assert warmup_cosine(12, warmup_steps=4, total_steps=20) == pytest.approx(0.5)
    quarter = warmup_cosine(8, warmup_steps=4, total_steps=20)
    assert quarter == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert warmup_cosine(20, warmup_steps=4, total_steps=20) == pytest.approx(0, abs=1e-15)


def test_falls_to_the_final_factor_and_at_1_not_at_all() -> None:
    falling = [warmup_cosine(s, warmup_steps=4, total_steps=20, final=0.2) for s in (4, 12, 20)]
    assert falling == pytest.approx([1, 0.6, 0.2])
    level = [warmup_cosine(s, warmup_steps=4, total_steps=20, final=1.0) for s in (2, 4, 12, 20)]
    assert level == [0.5, 1, 1, 1]


def test_never_rises_after_the_warm_up_nor_leaves_0_to_1() -> None:
    factors = [warmup_cosine(step, warmup_steps=7, total_steps=100) for step in range(120)]
    assert all(0 <= f <= 1 for f in factors)
    assert factors[7:] == sorted(factors[7:], reverse=True)


def test_stays_at_zero_past_the_end() -> None:
    assert warmup_cosine(99, warmup_steps=4, total_steps=20) == 0


def test_without_warm_up_the_first_step_is_full() -> None:
    assert warmup_cosine(0, warmup_steps=0, total_steps=20) == 1


@pytest.mark.parametrize("warmup_steps", [-1, 20, 21])
def test_refuses_a_warm_up_longer_than_the_run(warmup_steps: int) -> None:
    with pytest.raises(ValueError, match="warm-up"):
        warmup_cosine(0, warmup_steps=warmup_steps, total_steps=20)
