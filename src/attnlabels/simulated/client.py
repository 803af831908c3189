"""Speaks to a server of `attnlabels collect` as its page does, over HTTP."""

import json
import re
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

TOKEN = re.compile(r'<meta name="token" content="([^"]+)"')
BUSY = (429, 503)  # to be sent again
TRIES = 20
WAIT_S = 120.0


class Client:
    """A participant's browser: one connection, its cookie, the token of the page.

    Raises ValueError with the server's words for whatever it refuses, and OSError where there is
    no server. A context, which ends the connection.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{address}: expected http://HOST:PORT/")
        self.path = parts.path.rstrip("/")
        self.connection = HTTPConnection(parts.hostname, parts.port, timeout=WAIT_S)
        self.cookie, self.token = "", ""

    def __enter__(self) -> "Client":
        try:
            found = TOKEN.search(self._send("GET", "/").decode())
            if found is None:
                raise ValueError("the page has no token; is this a server of attnlabels collect?")
        except BaseException:
            self.connection.close()
            raise
        self.token = found[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def agree(self, *, language: str = "en", code: str | None = None) -> str:
        """Agree to the text as it is now; who one is from then on."""
        version = self.get("start.json")["consent"]["version"]
        body = {"consent": version, "language": language, "code": code}
        return str(self.post("consent", body)["participant"])

    def next(self) -> dict[str, Any] | None:
        """The next round; None if there is none."""
        told = self.post("next", {})
        return None if told.get("over") else told

    def guess(self, round: str, bubbles: Sequence[tuple[float, float, float]]) -> bool:
        """Whether the partner names the class of what it sees."""
        told = self.post("guess", {"round": round, "bubbles": [list(each) for each in bubbles]})
        return bool(told["recognised"])

    def finish(self, round: str, played: dict[str, Any]) -> dict[str, Any]:
        """Send a finished round."""
        return self.post("round", {"round": round, **played})

    def get(self, name: str) -> dict[str, Any]:
        """What the server tells under a name."""
        told: dict[str, Any] = json.loads(self._send("GET", f"/{name}"))
        return told

    def post(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the server answers to an action."""
        told: dict[str, Any] = json.loads(self._send("POST", f"/api/{action}", body))
        return told

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Cookie": self.cookie, "X-Attnlabels": self.token, "User-Agent": "simulated"}
        headers = {key: value for key, value in headers.items() if value}
        if data is not None:
            headers["Content-Type"] = "application/json"
        for _ in range(TRIES):
            self.connection.request(method, self.path + path, body=data, headers=headers)
            with self.connection.getresponse() as answer:
                told = answer.read()
                if given := answer.getheader("Set-Cookie"):
                    self.cookie = given.partition(";")[0]
                if answer.status not in BUSY:
                    break
                time.sleep(float(answer.getheader("Retry-After") or 1))
        if answer.status != 200:
            raise ValueError(f"{method} {path}: {answer.status} {told.decode()[:300]}")
        return told
