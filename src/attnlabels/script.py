"""How a stage script is called: typed positional arguments in, one clear line out when it fails."""

import inspect
import os
import sys
from collections.abc import Callable


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line, converted by its annotations (Path, str or int).

    Leaves with status 2 and the module's docstring if the arguments do not fit, and with
    status 1 and one message if the input is bad. ATTNLABELS_TRACEBACK=1 shows the traceback.
    """
    parameters = inspect.signature(main).parameters.values()
    words = sys.argv[1:]
    if len(words) != len(parameters):
        print(sys.modules[main.__module__].__doc__, file=sys.stderr)
        print(f"expected {len(parameters)} arguments, got {len(words)}", file=sys.stderr)
        raise SystemExit(2)
    try:
        main(*(each.annotation(word) for each, word in zip(parameters, words)))
    except (ValueError, OSError) as error:
        if os.environ.get("ATTNLABELS_TRACEBACK"):
            raise
        print(f"{sys.argv[0]}: error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
