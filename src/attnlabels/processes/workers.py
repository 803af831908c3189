"""Worker processes: which signals are theirs, and that they end with the process they work for."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

LOOK_S = 1.0  # between looks at whether the parent is there
NOT_OURS = (signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


def live_with_parent() -> None:
    """Let this process, a worker, end when its parent asks it to or has ended, and no sooner.

    A signal to all processes of a job (Ctrl-C, `docker stop`, `scancel`) is the parent's to answer:
    it still needs its workers for the step that it ends with. SIGTERM is obeyed if the parent sent
    it, as `multiprocessing` does at its end, where it then waits for them.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "the main process is no worker"
    for each in NOT_OURS:
        signal.signal(each, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # to be waited for below
    else:  # no telling who sent a signal; those to a group do not come here
        os.setpgid(0, 0)
    threading.Thread(target=_end_with, args=(parent, os.getppid()), daemon=True).start()


def _end_with(parent: BaseProcess, above: int) -> None:
    # `above` may be a server that forks for the parent, and ends with it
    while parent.is_alive() and os.getppid() == above:
        if hasattr(signal, "sigtimedwait"):
            asked = signal.sigtimedwait({signal.SIGTERM}, LOOK_S)
            if asked and asked.si_pid == parent.pid:
                break
        else:
            time.sleep(LOOK_S)
    os._exit(0)  # the main thread may be anywhere


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes for the jobs of a block; if it fails, none of them goes on."""
    others = {*multiprocessing.active_children()}
    # spawn: a forked child would inherit OpenCV's threads in an unknown state
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=live_with_parent)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for each in {*multiprocessing.active_children()} - others:
            each.terminate()
        raise
    executor.shutdown()
