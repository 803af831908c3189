"""Start a script again as several processes of this machine, under torchrun's agent."""

import logging
import os
import signal
import sys
import time
from types import FrameType

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from attnlabels.pipeline.script import PATIENCE_S, end_with

STOPPED = 75  # as in attnlabels.processes.resumable
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
ONE_S = 10.0  # signals no further apart are one, likewise
FOLLOWING = (signal.SIGTERM, signal.SIGABRT)  # of the agent, and of a library, once one has failed
LAUNCHER = "ATTNLABELS_LAUNCHER"  # in the environment of processes that were launched: its id


def launch(count: int) -> None:
    """If `count` is above 1, run this command line in so many processes and leave as they did.

    Under torchrun itself this process is one of them, and `count` is not asked: torchrun's is.
    A signal is passed on to all. If one of them fails, the others are ended; if this process is
    killed by force, or torchrun, all are, which would else wait for it to bring them together.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with([int(os.environ.get(LAUNCHER, os.getppid()))])
    if count == 1 or "RANK" in os.environ:
        return
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ[LAUNCHER] = str(os.getpid())
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        signals_to_handle="SIGQUIT",  # the others are passed on below, once
        shutdown_timeout=PATIENCE_S,
    )
    passed_on = _PassedOn()
    for each in SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:  # as `nohup` has it
            signal.signal(each, passed_on)
    try:
        elastic_launch(config, sys.executable)(*sys.argv)
    except ChildFailedError as error:
        raise SystemExit(_status(error)) from None
    except SignalException:
        raise SystemExit(STOPPED) from None
    raise SystemExit(0)


class _PassedOn:
    """Has the agent pass a signal on and wait; a second would end the waiting, and so the states.

    A later one does.
    """

    def __init__(self) -> None:
        self.first_s: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.first_s is None or time.monotonic() - self.first_s > ONE_S:
            self.first_s = time.monotonic()
            name = signal.Signals(number)
            raise SignalException(f"{name.name} arrived", sigval=name)


def _status(error: ChildFailedError) -> int:
    rank, failure = _cause(error)
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        print(
            f"{sys.argv[0]}: error: process {rank} was ended by {name}, and so are the others; "
            "the same command goes on from the last state that was kept",
            file=sys.stderr,
        )
        return 1
    return failure.exitcode


def _cause(error: ChildFailedError) -> tuple[int, ProcessFailure]:
    """The rank and the failure that the others came of.

    Often one that waits for a process that was killed has failed too before the agent looks.
    """
    first, failure = error.get_first_failure()
    for rank, other in error.failures.items():
        at_once = other.timestamp - failure.timestamp <= 1  # whole seconds; not by the agent, later
        if at_once and other.exitcode < 0 and -other.exitcode not in FOLLOWING:
            return rank, other
    return first, failure
