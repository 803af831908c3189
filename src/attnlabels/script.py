"""How a stage script is called: typed positional arguments in, one clear line out when it fails."""

import inspect
import os
import sys
from collections.abc import Callable
from typing import NoReturn


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line, converted by its annotations (Path, str or int).

    Leaves with status 2 and the module's docstring if the arguments do not fit, and with
    status 1 and one message if the input is bad. ATTNLABELS_TRACEBACK=1 shows the traceback.
    """
    parameters = inspect.signature(main).parameters.values()
    words = sys.argv[1:]
    if len(words) != len(parameters):
        _refuse(main, f"expected {len(parameters)} arguments, got {len(words)}")
    arguments = []
    for each, word in zip(parameters, words):
        try:
            arguments.append(each.annotation(word))
        except ValueError:
            _refuse(main, f"{each.name.upper()}: expected {each.annotation.__name__}, got {word!r}")
    try:
        main(*arguments)
    except (ValueError, OSError) as error:
        if os.environ.get("ATTNLABELS_TRACEBACK"):
            raise
        print(f"{sys.argv[0]}: error: {_message(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def _message(error: Exception) -> str:
    """What the error says; without the traceback that torch puts into one of a loader's worker."""
    return str(error).rpartition(f"\n{type(error).__name__}: ")[2].rstrip()


def _refuse(main: Callable[..., None], why: str) -> NoReturn:
    print(f"{sys.modules[main.__module__].__doc__}\n{why}", file=sys.stderr)
    raise SystemExit(2)
