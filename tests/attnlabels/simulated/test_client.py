"""The client against a server that answers what it is told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from attnlabels.simulated.client import Client

PAGE = '<meta name="token" content="t0k3n">'


@contextmanager
def answering(answers: list[tuple[int, dict[str, str], Any]]) -> Iterator[tuple[str, list[Any]]]:
    """The address of a server that gives these answers in turn, and what it was sent."""
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or "null")
            heard.append((self.command, self.path, dict(self.headers), body))
            status, headers, told = answers[min(len(heard), len(answers)) - 1]
            data = (told if isinstance(told, str) else json.dumps(told)).encode()
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_token_and_the_cookie_are_sent_with_what_is_posted():
    cookie = {"Set-Cookie": "session=abc; HttpOnly; SameSite=Strict"}
    answers = [
        (200, {}, PAGE),
        (200, {}, {"consent": {"version": "v1"}}),
        (200, cookie, {"participant": "p"}),
        (200, {}, {"over": True}),
    ]
    with answering(answers) as (address, heard), Client(address) as client:
        assert client.agree(language="de", code="lab") == "p"
        assert client.next() is None
    assert [each[:2] for each in heard] == [
        ("GET", "/"),
        ("GET", "/start.json"),
        ("POST", "/api/consent"),
        ("POST", "/api/next"),
    ]
    assert heard[2][3] == {"consent": "v1", "language": "de", "code": "lab"}
    assert heard[3][2]["X-Attnlabels"] == "t0k3n" and heard[3][2]["Cookie"] == "session=abc"


def test_a_server_that_is_busy_is_asked_again():
    busy = (503, {"Retry-After": "0"}, {"error": "busy"})
    answers = [(200, {}, PAGE), busy, busy, (200, {}, {"recognised": True, "top": []})]
    with answering(answers) as (address, heard), Client(address) as client:
        assert client.guess("r", [(0.0, 1.0, 2.0)]) is True
    assert len(heard) == 4 and heard[3][3] == {"round": "r", "bubbles": [[0.0, 1.0, 2.0]]}


def test_what_is_refused_is_told_in_the_servers_words():
    answers = [(200, {}, PAGE), (404, {}, {"error": "no such round of yours"})]
    with (
        answering(answers) as (address, _),
        Client(address) as client,
        pytest.raises(ValueError, match="POST /api/round: 404 .*no such round of yours"),
    ):
        client.finish("r", {})


def test_other_servers_and_addresses_are_told():
    with (
        answering([(200, {}, "<html>")]) as (address, _),
        pytest.raises(ValueError, match="no token; is this a server"),
        Client(address),
    ):
        pass
    with pytest.raises(ValueError, match=r"https://host/: expected http://HOST:PORT/"):
        Client("https://host/")
