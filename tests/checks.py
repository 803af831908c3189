"""The checks of arrays that jaxtyping's import hook puts into the library, at half of their cost.

Its decorator has all arguments checked twice, the second time beside the result, for what its
messages say; and it goes through every call of every function, for the shapes of arrays that most
do not take. Here beartype checks all once, and jaxtyping keeps the shapes where there are any.
To be imported before any module that is to be checked so.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import jaxtyping
from beartype import BeartypeConf

_jaxtyped = jaxtyping.jaxtyped
RAISES = BeartypeConf(violation_type=jaxtyping.TypeCheckError)  # a TypeError, as of any wrong call


def jaxtyped(function: Any = None, *, typechecker: Callable[..., Any]) -> Any:
    """In the place of jaxtyping's own, which the hook looks up by this name."""
    if function is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if not inspect.isfunction(function) or inspect.isgeneratorfunction(function):
        # else jaxtyping would check no more of the shapes that a generator's result names
        return _jaxtyped(function, typechecker=typechecker)
    named = [each for said in inspect.get_annotations(function).values() for each in leaves(said)]
    if any(isinstance(each, str) for each in named):  # may not be there yet; jaxtyping asks
        return _jaxtyped(function, typechecker=typechecker)
    checked = typechecker(function, conf=RAISES)
    return _jaxtyped(checked, typechecker=None) if any(map(is_array, named)) else checked


def leaves(annotation: Any) -> Iterator[Any]:
    """What an annotation names, in whatever it stands; a list is of a callable's arguments."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, list):
        inner = tuple(annotation)
    elif origin is Annotated:
        inner = inner[:1]
    elif origin is Literal:
        inner = ()
    if not inner:
        yield annotation
    for each in inner:
        yield from leaves(each)


def is_array(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray)


jaxtyping.jaxtyped = jaxtyped
