"""The checks of arrays that jaxtyping's import hook puts into the library, at half of their cost.

Its decorator has all arguments checked twice, the second time beside the result, for what its
messages say; and it goes through every call of every function, for the shapes of arrays that most
do not take. Here beartype checks all once, and jaxtyping keeps the shapes where there are any.
To be imported before any module that is to be checked so.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

import jaxtyping
from beartype import BeartypeConf

_jaxtyped = jaxtyping.jaxtyped
RAISES = BeartypeConf(violation_type=jaxtyping.TypeCheckError)  # a TypeError, as of any wrong call


def jaxtyped(function: Any = None, *, typechecker: Callable[..., Any]) -> Any:
    """In the place of jaxtyping's own, which the hook looks up by this name."""
    if function is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    said = [*inspect.get_annotations(function).values()]
    if (
        not inspect.isfunction(function)
        or inspect.isgeneratorfunction(function)  # or nothing of these shapes would be checked
        or any(map(names_something_later, said))
    ):
        return _jaxtyped(function, typechecker=typechecker)
    checked = typechecker(function, conf=RAISES)
    return _jaxtyped(checked, typechecker=None) if any(map(names_arrays, said)) else checked


def names_something_later(annotation: Any) -> bool:
    """Whether a part of it is text, the name of what may not be there yet; jaxtyping asks."""
    return isinstance(annotation, str) or any(map(names_something_later, parts(annotation)))


def names_arrays(annotation: Any) -> bool:
    """Whether a part of it is an array's shape."""
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(names_arrays, parts(annotation)))


def parts(annotation: Any) -> tuple[Any, ...]:
    """The annotations that an annotation is made of; a list is of a callable's arguments."""
    if isinstance(annotation, list):
        return tuple(annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    return {Literal: (), Annotated: parts[:1]}.get(origin, parts)


jaxtyping.jaxtyped = jaxtyped
