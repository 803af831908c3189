"""What every request goes through before it is answered, and what every answer says.

A page of another origin that a participant has open can send requests to this machine, also under a
name of its own that leads here (DNS rebinding). So the Host has to be one of ours; what is posted
has to come from our own pages (Origin), with the header that pages of others cannot send.
"""

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from attnlabels.serving.tokens import same

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "x-attnlabels"
SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-embedder-policy": "require-corp",  # with the next, clocks of 5 µs
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Hosts:
    """The names under which the server may be called.

    On this machine alone (`address` is a loopback's) these are the loopback's; else any numeric
    address, which no name that leads here can imitate, and this machine's own name. And `more`.
    """

    def __init__(self, address: str, more: Iterable[str] = ()) -> None:
        self.loopback_only = is_loopback(address)
        self.named = {"localhost", *(each.lower() for each in more)}
        if not self.loopback_only:
            self.named |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def has(self, host: str) -> bool:
        """Whether `host`, a name or address with or without a port, is one of ours."""
        name = name_of(host)
        if name is None:
            return False
        if name in self.named:
            return True
        try:
            numeric = ipaddress.ip_address(name)
        except ValueError:
            return False
        return numeric.is_loopback or not self.loopback_only


class Guard:
    """Hands on to `application` what comes from where it may."""

    def __init__(self, application: Application, *, hosts: Hosts, token: str) -> None:
        self.application, self.hosts, self.token = application, hosts, token

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_encoded(HEADERS)]
            await send(message)

        if fault := self.fault_of(scope):
            await _refuse(answer, *fault)
        else:
            await self.application(scope, receive, answer)

    def fault_of(self, scope: Any) -> tuple[int, str] | None:
        """The status and the reason for which a request is refused, if it is."""
        told = dict[str, str]()
        for key, value in scope["headers"]:
            name = key.decode("latin-1").lower()
            if name in ("host", "origin") and name in told:
                return 400, f"{name.title()} is there twice"
            told[name] = value.decode("latin-1")
        host = told.get("host", "")
        if not self.hosts.has(host):
            return 421, f"this server is not called {host[:80]!r}"
        if scope["method"] in SAFE:
            return None
        origin = told.get("origin")
        if origin is not None and not self._ours(origin, host):
            return 403, "sent by a page of another origin"
        if told.get("sec-fetch-site", "same-origin") != "same-origin":
            return 403, "sent by a page of another site"
        if not same(told.get(TOKEN_HEADER, ""), self.token):
            return 403, f"without the header {TOKEN_HEADER} of our pages; load the page anew"
        return None

    def _ours(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` was served under the same host, or under one of our names."""
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https"):
            return False
        return parts.netloc.lower() == host.lower()


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches `address`."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str | None:
    """A Host header's name or address without its port, in small letters; None for nonsense."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.netloc != host or parts.username or parts.path or parts.query:
        return None
    return parts.hostname.rstrip(".")


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(key.encode(), value.encode()) for key, value in headers.items()]


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": why}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= {"cache-control": "no-store", "connection": "close"}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})
