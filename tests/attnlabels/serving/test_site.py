import re
from hashlib import sha256
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from attnlabels.serving.refusals import Refused
from attnlabels.serving.safety import TOKEN_HEADER, Hosts
from attnlabels.serving.site import Answer, Limits, Picture, Site, application, unchanged
from attnlabels.serving.tokens import Signer

SIGNER = Signer(b"k" * 32)
PLACE = "http://127.0.0.1:1"


def refuse(caller, body):
    raise Refused(418, "no", retry_s=1.2)


def show(caller, number, asked):
    if number == "0":
        raise Refused(500, "picture 0 is gone")
    return Picture(number.encode(), "image/png")


def client(tmp_path, root_path="", limits=None, **headers):
    page = tmp_path / "page.html"
    page.write_text("<meta content={{token}}>é", encoding="utf-8")
    (tmp_path / "a.js").write_text("1")
    site = Site(
        pages={"": page},
        static={"a.js": tmp_path / "a.js"},
        told={"who.json": lambda caller: {"session": caller.session, "browser": caller.browser}},
        actions={
            "begin": lambda caller, body: Answer({"got": body}, "me"),
            "end": lambda caller, body: Answer({}, ""),
            "mine": lambda caller, body: Answer({"session": caller.require()}),
            "refuse": refuse,
        },
        pictures={"images": show},
        limits=limits or Limits(),
    )
    app = application(site, signer=SIGNER, hosts=Hosts("127.0.0.1"), root_path=root_path)
    return TestClient(app, base_url=PLACE, headers={TOKEN_HEADER: SIGNER.page} | headers)


def test_a_page_has_its_token_and_is_not_kept(tmp_path):
    answer = client(tmp_path).get("/")
    assert answer.text == f"<meta content={SIGNER.page}>é"
    assert answer.headers["cache-control"] == "no-store"


def test_a_session_begins_is_known_and_ends(tmp_path):
    http = client(tmp_path, **{"user-agent": "Mozilla/5.0 Gecko Firefox/130.0 secret"})
    assert http.post("/api/mine", json={}).status_code == 401
    answer = http.post("/api/begin", json={"a": [1]})
    assert answer.json() == {"got": {"a": [1]}}
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert http.get("/who.json").json() == {"session": "me", "browser": "Firefox"}
    assert http.post("/api/mine", json={}).json() == {"session": "me"}
    http.post("/api/end", json={})
    assert http.get("/who.json").json()["session"] is None


def test_a_cookie_that_we_did_not_sign_is_nobodys(tmp_path):
    http = client(tmp_path)
    http.cookies.set(SIGNER.cookie, "me.0123")
    assert http.get("/who.json").json()["session"] is None


def test_behind_a_proxy_the_cookie_is_of_its_path_and_of_https_alone(tmp_path):
    http = client(tmp_path, root_path="/study")
    http.base_url = PLACE.replace("http:", "https:")
    cookie = http.post("/api/begin", json={}).headers["set-cookie"]
    assert "Path=/study" in cookie and "Secure" in cookie


@pytest.mark.parametrize(
    "body", ["{", "[]", "1", '{"a": NaN}', '{"a": Infinity}', "é\xff", "[" * 100_000]
)
def test_what_is_no_object_of_json_is_refused(tmp_path, body):
    answer = client(tmp_path).post("/api/begin", content=body.encode("latin-1"))
    assert answer.status_code == 400 and "error" in answer.json()


def pieces():
    for _ in range(200):
        yield b"x" * 2**19


def test_a_body_of_100_mb_is_refused_before_it_is_read(tmp_path):
    http = client(tmp_path)
    assert http.post("/api/begin", content=b"x" * 100 * 2**20).status_code == 413
    # and where no length is told
    assert http.post("/api/begin", content=pieces()).status_code == 413
    assert http.post("/api/begin", json={"a": 1}).status_code == 200


UP = "." * 2


@pytest.mark.parametrize(
    "path",
    [
        f"/static/{UP}/page.html",
        f"/static/{UP}%2fpage.html",
        "/static/%2e%2e/page.html",
        f"/{UP}/{UP}/etc/passwd",
        "/static//a.js",
        "/static/page.html",
        "/a.js",
        "/static/",
        "/nothing",
        "/api/nothing",
    ],
)
def test_no_path_of_a_client_is_opened(tmp_path, path):
    answer = client(tmp_path).get(path)
    assert answer.status_code == 404 and "error" in answer.json()


def test_what_is_to_be_posted_is_not_got(tmp_path):
    assert client(tmp_path).get("/api/begin").status_code == 405


def test_files_are_served_by_name_and_pictures_by_number(tmp_path):
    http = client(tmp_path)
    answer = http.get("/static/a.js")
    assert answer.text == "1" and answer.headers["content-type"].startswith("text/javascript")
    answer = http.get("/images/12?blur=1")
    assert answer.content == b"12" and answer.headers["content-type"] == "image/png"


def test_a_refusal_is_told_with_its_status_and_when_to_come_again(tmp_path):
    answer = client(tmp_path).post("/api/refuse", json={})
    assert answer.status_code == 418 and answer.json() == {"error": "no"}
    assert answer.headers["retry-after"] == "2"


def test_what_a_participant_is_refused_is_logged_and_of_strangers_nothing(tmp_path, caplog):
    http = client(tmp_path)
    http.post("/api/refuse", json={})
    assert not caplog.messages
    http.post("/api/begin", json={})
    for _ in range(3):
        http.post("/api/refuse", json={})  # to be sent again: said once
    for _ in range(2):
        http.post("/api/begin", content=b"[]")
    http.post("/api/refuse", json={})
    again = "a participant's refuse was refused: no"
    lost = "a participant's begin was refused: expected an object of JSON"
    assert caplog.messages == [again, lost, lost, again]


def test_a_picture_that_a_participant_is_refused_is_logged_once_as_it_is_asked_for_again(
    tmp_path, caplog
):
    http = client(tmp_path)
    assert http.get("/images/0").status_code == 500 and not caplog.messages
    http.post("/api/begin", json={})
    for _ in range(3):
        assert http.get("/images/0").status_code == 500
    assert caplog.messages == ["a participant's picture was refused: picture 0 is gone"]


@pytest.mark.parametrize("name", ["gone", "exchanged"])
def test_a_file_that_is_not_as_it_was_is_refused_by_its_name_alone(tmp_path, name):
    (tmp_path / "exchanged").write_bytes(b"other")
    digest = sha256(b"as it was").hexdigest()
    with pytest.raises(Refused, match="^picture 3 .*; put it back$") as refused:
        unchanged(tmp_path / name, digest, name="picture 3", of="study")
    assert refused.value.status == 500
    (tmp_path / name).write_bytes(b"as it was")
    assert unchanged(tmp_path / name, digest, name="picture 3", of="study") == b"as it was"


def test_who_asks_too_often_is_told_to_wait_and_others_are_answered(tmp_path):
    limits = Limits(per_s=0.001, burst=3.0, strangers_per_s=0.001, strangers_burst=5.0)
    http = client(tmp_path, limits=limits)
    http.post("/api/begin", json={})
    found = [http.get("/who.json").status_code for _ in range(4)]
    assert found == [200, 200, 200, 429]
    assert int(http.get("/who.json").headers["retry-after"]) > 1
    http.cookies.clear()
    assert http.get("/who.json").status_code == 200


def test_a_folder_of_pages_holds_no_inline_script_or_style():
    for page in (Path(__file__).parents[3] / "src").rglob("pages/*.html"):
        text = page.read_text()
        assert "<style" not in text and " style=" not in text and " on" + "click" not in text
        named = re.findall(
            r'<script (?:type="module" )?src="static/[\w.-]+"(?: defer)?></script>', text
        )
        assert 0 < text.count("<script") == len(named)
