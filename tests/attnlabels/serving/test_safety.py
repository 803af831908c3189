import asyncio
import json
import socket

import pytest

from attnlabels.serving.safety import HEADERS, TOKEN_HEADER, Guard, Hosts, is_loopback, name_of

TOKEN = "token"


def answer_of(method="GET", hosts=None, twice=(), **headers):
    """The status, headers and body that a guarded application answers a request with."""
    sent = []

    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"reached"})

    async def send(message):
        sent.append(message)

    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    pairs += [(k.encode(), v.encode()) for k, v in twice]
    scope = {"type": "http", "method": method, "path": "/", "headers": pairs}
    guard = Guard(inner, hosts=hosts or Hosts("127.0.0.1"), token=TOKEN)
    asyncio.run(guard(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def post(**headers):
    ours = {"host": "127.0.0.1:80", TOKEN_HEADER.replace("-", "_"): TOKEN}
    return answer_of("POST", **ours | headers)[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8642", "localhost:1", "[::1]:8642"])
def test_our_names_are_answered_to(host):
    assert answer_of(host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8642",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost/evil",
        "10.0.0.1",
        "localhost:port",
        "[::1",
    ],
)
def test_a_name_that_leads_here_is_refused(host):
    status, _, body = answer_of(host=host)
    assert status == 421 and "not called" in json.loads(body)["error"]


def test_a_request_without_a_host_is_refused():
    assert answer_of()[0] == 421


def test_on_a_network_numeric_addresses_and_own_and_given_names_are_ours():
    hosts = Hosts("0.0.0.0", ["study.lab.example"])
    for host in ("10.0.0.1:80", "[fe80::1]", "study.lab.example", "Study.Lab.Example."):
        assert hosts.has(host)
    assert hosts.has(socket.gethostname())
    assert not hosts.has("evil.example")


def test_what_our_pages_post_is_taken():
    assert post() == 200
    assert post(origin="http://127.0.0.1:80") == 200
    assert post(origin="https://127.0.0.1:80", sec_fetch_site="same-origin") == 200  # of a proxy


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:81", "http://localhost:80", "file://", ""],
)
def test_what_a_page_of_another_origin_posts_is_refused(origin):
    assert post(origin=origin) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_what_another_site_posts_is_refused(site):
    assert post(sec_fetch_site=site) == 403


@pytest.mark.parametrize("token", ["", "other", "é"])
def test_a_post_without_the_header_of_our_pages_is_refused(token):
    assert answer_of("POST", host="localhost", **{TOKEN_HEADER.replace("-", "_"): token})[0] == 403
    assert answer_of("POST", host="localhost")[0] == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_other_method_gets_round_the_header(method):
    assert answer_of(method, host="localhost")[0] == 403


def test_a_host_that_is_there_twice_is_refused():
    assert answer_of(host="localhost", twice=[("host", "evil.example")])[0] == 400
    assert answer_of("POST", host="localhost", twice=[("Host", "localhost")])[0] == 400


def test_every_answer_says_what_a_page_may_do():
    for given in ({"host": "localhost"}, {"host": "evil.example"}):
        headers = answer_of(**given)[1]
        for name, value in HEADERS.items():
            assert headers[name.encode()] == value.encode()
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("a:1", "a"),
        ("A.b.", "a.b"),
        ("[::1]:2", "::1"),
        ("a b", None),
        ("u@a", None),
        ("a?b", None),
    ],
)
def test_a_host_is_taken_apart(host, name):
    assert name_of(host) == name or (name is None and not Hosts("127.0.0.1").has(host))


def test_loopbacks_are_known():
    assert is_loopback("localhost") and is_loopback("127.0.0.2") and is_loopback("::1")
    assert not is_loopback("0.0.0.0") and not is_loopback("lab")
