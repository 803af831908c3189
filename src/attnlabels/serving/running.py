"""Run an application on this machine until it is stopped, and open it in a browser."""

import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import uvicorn

from attnlabels.serving.safety import Application, Hosts, is_loopback

STOPPING = (signal.SIGINT, signal.SIGTERM)
LAST_REQUESTS_S = 3


class Served(Protocol):
    """A study that is open, until it is closed."""

    application: Application

    def close(self) -> None: ...


Study = TypeVar("Study", bound=Served)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a study is served, and how one comes there."""

    host: str = "127.0.0.1"
    port: int = 0  # any that is free
    opening: bool = False  # the page, in a browser
    join_code: str | None = None  # that who takes part has to give
    names: Sequence[str] = ()  # further ones of the server, behind a reverse proxy say
    root_path: str = ""  # where such a proxy has it, "/study" say


def serve_study(
    at: Listening, opened: Callable[[Hosts], Study], greeting: Callable[[Study, str], str]
) -> None:
    """Serve what is `opened` for these hosts until it is stopped, then close it.

    `greeting` is what is said of it and its address. Raises what `require_code`, `listen` and
    `opened` do.
    """
    require_code(at.host, at.join_code)
    with closing(listen(at.host, at.port)) as bound:
        study = opened(Hosts(at.host, at.names))
        with closing(study):
            serve(
                study.application,
                bound,
                address=address_of(bound, at.host),
                opening=at.opening and not at.root_path,  # cookies are of the proxy's path
                root_path=at.root_path,
                said=lambda address: print(greeting(study, address), flush=True),
            )


def require_code(host: str, code: str | None) -> None:
    """Raise ValueError if others can reach the server and it asks nobody for a code."""
    if not is_loopback(host) and not code:
        raise ValueError(
            f"--host {host}: others on the network could take part; give --join-code CODE, which "
            "the page asks for"
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any free one.

    Raises OSError that says what to do if it is taken or the address is not this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # with the protocol: else asyncio leaves Nagle on, and each answer waits 40 ms for an ACK
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
            bound.listen(256)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise OSError(
            f"{host}:{port}: cannot be listened at ({error.strerror}); give another --port or "
            "--host"
        ) from error
    return bound


def address_of(bound: socket.socket, host: str) -> str:
    """What a browser on this machine calls it."""
    port = bound.getsockname()[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}/"


def serve(
    application: Application,
    bound: socket.socket,
    *,
    address: str,
    opening: bool,
    root_path: str = "",
    said: Callable[[str], None] = print,
) -> None:
    """Answer until SIGINT or SIGTERM; then end what is being answered, and return.

    `address` is said as soon as requests are taken, and `opening` opens it.
    """
    server = _server(application, root_path)
    with closing(bound), _stopped_by_signals(server):
        said(address)
        if opening:
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        server.run(sockets=[bound])


@contextmanager
def served(application: Application) -> Iterator[str]:
    """The address at which a thread serves the application to this machine, in this block."""
    with closing(listen("127.0.0.1", 0)) as bound:
        server = _server(application)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield address_of(bound, "127.0.0.1")
        finally:
            server.should_exit = True
            thread.join()


def _server(application: Application, root_path: str = "") -> uvicorn.Server:
    config = uvicorn.Config(
        application,
        root_path=root_path,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=LAST_REQUESTS_S,  # a client that hangs on is not waited for
    )
    return uvicorn.Server(config)


def _open(address: str) -> None:
    with suppress(webbrowser.Error):
        webbrowser.open(address)


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Within it, signals that stop do no more than stop the server, even before it runs.

    As it runs it hears them itself, and sends them again once it has stopped: an end that was asked
    for is no failure.
    """

    def stop(*_: Any) -> None:
        server.should_exit = True

    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {each: signal.signal(each, stop) for each in STOPPING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
