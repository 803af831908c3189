"""The checks that jaxtyping puts into the library, without its detour where there is no array.

It binds the arguments of every function's every call, to compare the shapes of arrays with each
other; of a function whose annotations name none, there is nothing to compare, and beartype alone
checks the same in a tenth of the time. To be imported before any module that is to be checked so.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args

import jaxtyping

_jaxtyped = jaxtyping.jaxtyped


def jaxtyped(function: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """In the place of jaxtyping's own, which its import hook looks up by this name."""
    if function is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if inspect.isfunction(function) and not any(map(has_arrays, annotations(function))):
        return typechecker(function)
    return _jaxtyped(function, typechecker=typechecker)


def annotations(function: Callable[..., Any]) -> list[Any]:
    """What a function's arguments and its result are said to be."""
    return [*inspect.get_annotations(function).values()]


def has_arrays(annotation: Any) -> bool:
    """Whether an annotation names an array, or may, as the name of what is defined later."""
    if isinstance(annotation, list):  # a function's arguments
        return any(map(has_arrays, annotation))
    if isinstance(annotation, str):
        return True
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(has_arrays, get_args(annotation)))


jaxtyping.jaxtyped = jaxtyped
