"""A Python that has imported the large packages before it is called, for tests of commands.

Importing torch and what comes with it takes seconds, and a chain has a process for each stage. So
one process imports them once and forks for each call: `serve` is that one, and `CLIENT` what stands
in the place of `python`. Of this project nothing is imported before, so a call takes the code that
lies where it says. Calls share what PYTHONHASHSEED leaves to chance, as those of `python` do not.
"""

import atexit
import gc
import importlib
import io
import marshal
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
import traceback
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import json_as_yaml

PACKAGES = (
    *("cv2", "h5py", "matplotlib.pyplot", "pandas", "pydantic", "ruamel.yaml", "safetensors.torch"),
    *("scipy.io", "scipy.optimize", "scipy.stats", "sklearn.linear_model", "threadpoolctl", "timm"),
    *("torch.utils.data", "torchvision", "tqdm", "typer", "webdataset"),
    *("dvc.cli.parser", "dvc.commands.repro", "dvc.commands.status", "dvc.repo.graph"),
    *("dvc.repo.index", "dvc.repo.init", "dvc.analytics", "dvc.daemon", "dvc.data_cloud"),
    *("dvc.rwlock", "dvc.scm", "dvc_data.hashfile.status", "networkx", "scmrepo.git"),
)
CLIENT = """#!{python} -IS
import marshal, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
said = marshal.dumps((os.getcwdb(), [*map(os.fsencode, sys.argv)], {{**os.environb}}))
socket.send_fds(server, [len(said).to_bytes(8, "big")], [0, 1, 2])
server.sendall(said)

def told(size):
    said = server.recv(size, socket.MSG_WAITALL)
    if len(said) < size:
        sys.exit("the warm Python has ended")
    return int.from_bytes(said, "big", signed=True)

process = told(4)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda number, frame: os.kill(process, number))
open("/proc/self/comm", "w").write(str(process))
status = told(2)
if status < 0:
    if -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


def write_client(path: Path, *, python: str, address: Path) -> None:
    """The command that `serve` answers at `address`, by the real `python`."""
    path.write_text(CLIENT.format(python=python, address=str(address)))
    path.chmod(0o755)


class Call(NamedTuple):
    """A call that is being made."""

    process: int
    ended: io.FileIO  # the process as a file, to be read when it has ended
    caller: socket.socket  # closed when who called is gone


def serve(address: Path, until: int) -> None:
    """Answer calls until a process has ended; returns in the process of each call, to make it.

    The folder of `address` goes with it.
    """
    over = os.pidfd_open(until)
    os.environ["OMP_WAIT_POLICY"] = "passive"  # as attnlabels has it, before torch is imported
    for package in PACKAGES:
        importlib.import_module(package)
    json_as_yaml.take()
    json_as_yaml.take_in_dvc()
    gc.freeze()  # or each call would walk through all of it, and so copy it
    gc.set_threshold(100_000, 20, 100)  # as conftest has it
    calls = socket.socket(socket.AF_UNIX)
    calls.bind(str(address))
    calls.listen()
    # Of a shell's job in the background it is ignored, and would be for each call.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    events = selectors.DefaultSelector()
    events.register(calls, selectors.EVENT_READ)
    events.register(io.FileIO(over), selectors.EVENT_READ)
    while True:
        for key, _ in events.select():
            if events.get_map().get(key.fd) != key:
                continue  # of a call that ended in this round
            if key.fd == over:
                shutil.rmtree(address.parent)
                os._exit(0)
            if key.data:
                _follow(key, events)
            elif _answer(calls.accept()[0], events):
                return


def _answer(caller: socket.socket, events: selectors.BaseSelector) -> bool:
    """Fork for a call and follow it; True in the process that is to make it."""
    said, streams, _, _ = socket.recv_fds(caller, 8, 3)
    left, parts = int.from_bytes(said, "big"), []
    while left and (part := caller.recv(left)):
        left -= len(part)
        parts.append(part)
    whole = said and not left  # or who called is gone
    process = os.fork() if whole else None
    if process == 0:
        for key in [*events.get_map().values()]:
            key.fileobj.close()
        events.close()
        caller.close()
        _become(*marshal.loads(b"".join(parts)), streams)
        return True
    for each in streams:
        os.close(each)
    if process:
        call = Call(process, io.FileIO(os.pidfd_open(process)), caller)
        events.register(call.ended, selectors.EVENT_READ, call)
        events.register(caller, selectors.EVENT_READ, call)
        with suppress(OSError):
            caller.sendall(process.to_bytes(4, "big"))
    return False


def _become(
    folder: bytes, words: list[bytes], environment: dict[bytes, bytes], streams: list[int]
) -> None:
    """Take on what a caller has: where it stands, its words, its environment and its streams."""
    assert len(streams) == 3
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment)
    sys.executable, *sys.argv = map(os.fsdecode, words)  # what it starts is called so too


def _follow(key: selectors.SelectorKey, events: selectors.BaseSelector) -> None:
    """End a call whose caller is gone, or tell the caller how it has ended."""
    call: Call = key.data
    events.unregister(key.fileobj)
    if key.fileobj is call.caller:
        os.kill(call.process, signal.SIGTERM)
        return
    _, how = os.waitpid(call.process, 0)
    call.ended.close()
    with suppress(KeyError):
        events.unregister(call.caller)
    with suppress(OSError):
        call.caller.sendall(os.waitstatus_to_exitcode(how).to_bytes(2, "big", signed=True))
    call.caller.close()


def made() -> Callable[[], Any]:
    """What Python does with the words in `sys.argv`."""
    first, *others = sys.argv
    path = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    if first in ("-c", "-"):
        code = others.pop(0) if first == "-c" else sys.stdin.read()
        sys.argv = [first, *others]
        main = types.ModuleType("__main__")
        sys.path[:1] = ["", *path]

        def run() -> None:
            sys.modules["__main__"] = main
            exec(compile(code, "<string>", "exec"), main.__dict__)

        return run
    if first == "-m":
        sys.argv = others
        sys.path[:1] = [os.getcwd(), *path]
        return lambda: runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    assert not first.startswith("-"), f"{first}: only -, -c and -m are known here"
    sys.path[:1] = [str(Path(first).resolve().parent), *path]
    return lambda: runpy.run_path(first, run_name="__main__")


def leave(call: Callable[[], Any]) -> NoReturn:
    """Make a call and end as Python does, but for taking apart what was imported before."""
    status: object = 0
    try:
        call()
    except SystemExit as left:
        status = left.code
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status or 0) & 0xFF)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
    leave(made())
