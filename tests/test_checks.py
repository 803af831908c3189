"""What the suite's own decorator refuses of calls, as jaxtyping's does."""

from collections.abc import Callable, Iterator
from typing import Literal

import beartype
import numpy as np
import pytest
from jaxtyping import Float

import checks

checked = checks.jaxtyped(typechecker=beartype.beartype)
Array = np.ndarray


@checked
def product(a: Float[Array, "n d"], b: Float[Array, "d m"]) -> Float[Array, "n m"]:
    return (a @ b).T if len(a) == 3 else a @ b


@checked
def square(*, size: int, how: Literal["plain", "cut"] = "plain") -> Float[Array, "{size} {size}"]:
    return np.zeros((size, size - (how == "cut")))


@checked
def each(of: list[Float[Array, " _"]]) -> Iterator[Float[Array, " n"]]:
    yield from of


@checked
def later(of: "Float[Array, ' n']") -> "Named":
    return Named()


@checked
def apply(function: Callable[[Float[Array, " n"]], int], to: Float[Array, " n"]) -> int:
    return function(to)


@checked
def double(n: int) -> int:
    return n * 2 if n > 0 else f"{n}"


class Named: ...


def test_what_fits_comes_through():
    assert product(np.ones((2, 3)), np.ones((3, 4))).shape == (2, 4)
    assert square(size=3).shape == (3, 3) and double(2) == 4
    assert [len(a) for a in each([np.ones(2), np.ones(3)])] == [2, 3]
    assert apply(len, np.ones(5)) == 5 and isinstance(later(np.ones(1)), Named)


@pytest.mark.parametrize(
    "call",
    [
        lambda: product(np.ones((2, 3)), np.ones((4, 4))),  # of each other
        lambda: product(np.ones((3, 3)), np.ones((3, 4))),  # of the result
        lambda: product(np.ones((2, 3)), np.ones((3, 4), int)),
        lambda: square(size=3, how="cut"),
        lambda: square(size=3, how="torn"),
        lambda: each(np.ones(3)),
        lambda: later(np.ones((1, 1))),
        lambda: apply(len, np.ones((2, 2))),
        lambda: double("2"),
        lambda: double(-2),
    ],
)
def test_what_does_not_fit_is_refused(call):
    with pytest.raises(TypeError, match="violates type hint|Type-check error"):
        call()


def test_a_shape_is_that_of_one_call():
    for d in (3, 5):
        product(np.ones((2, d)), np.ones((d, 2)))
    outer = checked(lambda: product(np.ones((2, 3)), np.ones((3, 2))))
    assert outer().shape == (2, 2)
