"""A study's site: what is at which address, told in plain functions, and the application of it."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from attnlabels.serving.browsers import family_of
from attnlabels.serving.rates import Rates
from attnlabels.serving.refusals import Refused
from attnlabels.serving.safety import Application, Guard, Hosts
from attnlabels.serving.tokens import Signer

log = logging.getLogger(__name__)
TOKEN_PLACE = "{{token}}"  # in a page, where the token stands
COOKIE_S = 30 * 24 * 3600
DIGITS = 9  # of a number that a client sends, at most
NO_STORE = {"cache-control": "no-store"}
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Caller(NamedTuple):
    """Who asks: the session that the cookie tells, if it tells one; of the rest, no more."""

    session: str | None
    browser: str  # its family
    address: str  # to bound rates by; never stored

    def require(self) -> str:
        """The session; raises Refused without one."""
        if self.session is None:
            raise Refused(
                401,
                "nobody has agreed to take part here; load the page anew, in a browser that keeps "
                "this site's cookies",
            )
        return self.session


class Answer(NamedTuple):
    """What an action answers; a session that begins with it, or an empty one: it ends."""

    body: Mapping[str, Any]
    session: str | None = None


class Picture(NamedTuple):
    """An encoded image."""

    data: bytes
    type: str  # as in image/png


def number_of(text: str, n: int) -> int | None:
    """Which of `n` pictures, counted from 0, a client names so; None for what is no such number."""
    plain = len(text) <= DIGITS and text.isascii() and text.isdecimal()
    return int(text) if plain and int(text) < n else None


def unchanged(path: Path, digest: str, *, name: str, of: str) -> bytes:
    """What a file holds if that is still what has the SHA-256 `digest`.

    Raises Refused where it is gone or was exchanged, by the `name` that clients know it by, as its
    path may tell them what it is; `of` is what began with it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refused(500, f"{name} cannot be read any more; put it back") from error
    if sha256(data).hexdigest() != digest:
        raise Refused(500, f"{name} is not the one that the {of} began with; put it back")
    return data


Action = Callable[[Caller, dict[str, Any]], Answer]
Telling = Callable[[Caller], Mapping[str, Any]]
Showing = Callable[[Caller, str, Mapping[str, str]], Picture]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may ask for at most."""

    body_bytes: int = 2**20
    per_s: float = 40.0  # requests of a session
    burst: float = 120.0
    strangers_per_s: float = 40.0  # requests of an address without a session
    strangers_burst: float = 400.0
    at_once: int = 64  # requests that are worked on


# For who is no stranger, as simulated players are not.
UNBOUNDED = Limits(per_s=1e9, burst=1e9, strangers_per_s=1e9, strangers_burst=1e9)


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is served. Functions run in threads, several at once; what they refuse is answered so.

    No part of an address is ever a path: pages and static files are looked up by name, images by
    what `pictures` makes of a number.
    """

    pages: Mapping[str, Path]  # "" is the first one; in each, TOKEN_PLACE is filled
    static: Mapping[str, Path]  # at static/NAME
    told: Mapping[str, Telling]  # GET NAME, JSON
    actions: Mapping[str, Action]  # POST api/NAME, JSON
    pictures: Mapping[str, Showing] = field(default_factory=dict)  # GET NAME/NUMBER
    limits: Limits = Limits()


class _Serving:
    """A site's handlers of requests."""

    def __init__(self, site: Site, signer: Signer, root_path: str) -> None:
        self.site, self.signer, self.path = site, signer, root_path or "/"
        limits = site.limits
        self.known = Rates(per_s=limits.per_s, burst=limits.burst)
        self.strange = Rates(per_s=limits.strangers_per_s, burst=limits.strangers_burst)
        self.said = ""  # in the log, last
        self.threads: anyio.CapacityLimiter | None = None  # belongs to a running loop

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.threads is None:
            self.threads = anyio.CapacityLimiter(self.site.limits.at_once)
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self.threads)

    def caller(self, request: Request) -> Caller:
        """Who asks; raises Refused for whoever asks too often."""
        session = self.signer.read(request.cookies.get(self.signer.cookie, ""))
        address = request.client.host if request.client else ""
        wait = self.strange.take(address) if session is None else self.known.take(session)
        if wait:
            raise Refused(429, "too many requests", retry_s=wait)
        return Caller(session, family_of(request.headers.get("user-agent", "")), address)

    async def page(self, request: Request) -> Response:
        self.caller(request)
        file = self.site.pages[request.path_params.get("name", "")]
        text = file.read_text(encoding="utf-8").replace(TOKEN_PLACE, self.signer.page)
        return Response(text, media_type=TYPES[".html"], headers=NO_STORE)

    async def static(self, request: Request) -> Response:
        file = self.site.static.get(request.path_params["name"])
        if file is None:
            raise Refused(404, "no such file")
        return Response(
            file.read_bytes(), media_type=TYPES[file.suffix], headers={"cache-control": "no-cache"}
        )

    def tell(self, telling: Telling) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            return _json(await self.run(telling, self.caller(request)))

        return handle

    def show(self, showing: Showing) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            caller, number = self.caller(request), request.path_params["number"]
            asked = dict(request.query_params)
            try:
                picture: Picture = await self.run(showing, caller, number, asked)
            except Refused as error:
                self.note(caller, "picture", error)
                raise
            return Response(picture.data, media_type=picture.type, headers=NO_STORE)

        return handle

    def act(self, name: str, action: Action) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            caller = self.caller(request)
            try:
                body = await _body(request, self.site.limits.body_bytes)
                answer: Answer = await self.run(action, caller, body)
            except Refused as error:
                self.note(caller, name, error)
                raise
            response = _json(answer.body)
            if answer.session is not None:
                self.remember(response, answer.session, secure=request.url.scheme == "https")
            return response

        return handle

    def note(self, caller: Caller, name: str, error: Refused) -> None:
        """Say in the log what was refused: once, of what is sent again until it is taken."""
        if caller.session is None:  # strangers could fill the log
            return
        said = f"a participant's {name} was refused: {error.why}"
        is_sent_again = error.retry_s is not None or error.status >= 500
        if not is_sent_again or said != self.said:
            log.warning("%s", said)
        self.said = said

    def remember(self, response: Response, session: str, *, secure: bool) -> None:
        response.set_cookie(
            self.signer.cookie,
            self.signer.sign(session) if session else "",
            max_age=COOKIE_S if session else 0,
            path=self.path,
            secure=secure,
            httponly=True,
            samesite="strict",
        )


def static_files(*folders: Path) -> dict[str, Path]:
    """The files of folders that a page may ask for, by their names."""
    return {
        path.name: path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES
    }


def application(site: Site, *, signer: Signer, hosts: Hosts, root_path: str = "") -> Application:
    """The site as an application of ASGI, guarded.

    `root_path` is where a reverse proxy has it, "/study" say, if not at its root.
    """
    serving = _Serving(site, signer, root_path)
    routes = [
        *(Route(f"/{name}", serving.page, methods=["GET"]) for name in site.pages),
        Route("/static/{name}", serving.static, methods=["GET"]),
        *(Route(f"/{name}", serving.tell(each)) for name, each in site.told.items()),
        *(Route(f"/{name}/{{number}}", serving.show(f)) for name, f in site.pictures.items()),
        *(
            Route(f"/api/{name}", serving.act(name, each), methods=["POST"])
            for name, each in site.actions.items()
        ),
    ]
    handlers: Any = {Refused: _refused, 404: _missing, 405: _missing}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(inner, hosts=hosts, token=signer.page)


async def _body(request: Request, most: int) -> dict[str, Any]:
    """What was posted, an object of JSON; raises Refused for anything else, and for too much."""
    data = b""
    try:
        if int(request.headers.get("content-length", "0")) > most:
            raise _too_long(most)
        with anyio.fail_after(30):
            async for piece in request.stream():
                data += piece
                if len(data) > most:
                    raise _too_long(most)
        tree = json.loads(data or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"not JSON: {error}") from error
    except (TimeoutError, ClientDisconnect) as error:
        raise Refused(408, "the request did not come to its end") from error
    if not isinstance(tree, dict):
        raise Refused(400, "expected an object of JSON")
    return tree


def _too_long(most: int) -> Refused:
    return Refused(413, f"longer than the {most:,} bytes that are taken")


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _json(tree: Mapping[str, Any], status: int = 200, **headers: str) -> Response:
    return JSONResponse(tree, status, headers={**NO_STORE, **headers})


async def _refused(request: Request, error: Refused) -> Response:
    later = {} if error.retry_s is None else {"retry-after": str(math.ceil(error.retry_s))}
    closing = {"connection": "close"} if error.status in (408, 413) else {}
    return _json({"error": error.why}, error.status, **later, **closing)


async def _missing(request: Request, error: Any) -> Response:
    return _json({"error": "no such address"}, error.status_code)
