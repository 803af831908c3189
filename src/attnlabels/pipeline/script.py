"""How a stage script is called: typed positional arguments in, one clear line out when it fails."""

import inspect
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from attnlabels.pipeline.memory import keep_freed_memory
from attnlabels.pipeline.printable import Printable, printable

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
PATIENCE_S = 600  # for a step to end and its state to be written


def run(main: Callable[..., None], *, before: Callable[[], None] = lambda: None) -> None:
    """Call `main` with the command line, converted by its annotations (Path, str or int).

    `before` is called first, once the command line fits (see `attnlabels.pipeline.launch`). What
    tensors leave free is kept for the next ones (`keep_freed_memory`).

    Leaves with status 2 and the module's docstring if the arguments do not fit, and as
    `ending_clearly` does if the input is bad: nothing half-written stays. A stage does not outlive
    its DVC.
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
    if "DVC_STAGE" in os.environ:
        # SIGTERM ends DVC but not the stage it runs, nor the shell that may stand between the two.
        end_with(_ancestors_up_to_dvc())
    keep_freed_memory()
    with ending_clearly(sys.argv[0]):
        before()
        main(*arguments)


@contextmanager
def ending_clearly(name: str) -> Iterator[None]:
    """Leave with status 1 and one line, which begins with `name`, where the input is bad.

    ATTNLABELS_TRACEBACK=1 shows the traceback. SIGTERM, SIGHUP and SIGINT unwind. What the library
    says in its log, of files that are left out, is shown too, behind `name`.
    """
    heard = [each for each in ENDING if signal.getsignal(each) != signal.SIG_IGN]  # or `nohup`
    before = {each: signal.signal(each, _leave) for each in heard}
    try:
        with _log_shown(name):
            yield
    except (ValueError, OSError) as error:
        if os.environ.get("ATTNLABELS_TRACEBACK"):
            raise
        if os.environ.get("RANK", "0") != "0":
            time.sleep(2)  # if the first process fails too, it says so alone: the others are ended
        print(f"{name}: error: {message(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) == _leave:  # else the process is on its way out
                signal.signal(each, handler)


@contextmanager
def _log_shown(name: str) -> Iterator[None]:
    log, handler = logging.getLogger("attnlabels"), logging.StreamHandler()
    handler.setFormatter(Printable(f"{name}: %(message)s"))
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # Often a second one comes at once, as DVC ends too: what is half written is to be removed.
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def end_with(others: Iterable[int]) -> None:
    """Have SIGTERM end this process when one of `others`, by their ids, has ended (Linux alone).

    What does not hear it for PATIENCE_S is killed. If one is gone already, this leaves at once.
    """
    if not hasattr(os, "pidfd_open"):
        return
    try:
        ends = [os.pidfd_open(pid) for pid in others]
    except ProcessLookupError:
        sys.exit(128 + signal.SIGTERM)
    except OSError:  # a system that hides other processes
        return
    threading.Thread(target=_terminate_after_any, args=(ends,), daemon=True).start()


def _ancestors_up_to_dvc() -> Iterator[int]:
    """The processes above this one that DVC gave the name of its stage, and DVC."""
    named, pid = True, os.getppid()
    while named and pid > 1:
        named = b"\0DVC_STAGE=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _terminate_after_any(ends: list[int]) -> None:
    select.select(ends, [], [])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os.kill(os.getpid(), signal.SIGKILL)  # it stands in a call that hears of no signal


def message(error: Exception) -> str:
    """What the error says, on one line and `printable`.

    Without the traceback that torch puts into one of a loader's worker.
    """
    return printable(str(error).rpartition(f"\n{type(error).__name__}: ")[2].rstrip())


def _refuse(main: Callable[..., None], why: str) -> NoReturn:
    print(f"{sys.modules[main.__module__].__doc__}\n{why}", file=sys.stderr)
    raise SystemExit(2)
