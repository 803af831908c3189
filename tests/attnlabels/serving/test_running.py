import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from attnlabels.serving.extra import require_server
from attnlabels.serving.running import address_of, listen, require_code, serve

SERVER = """
import sys
from pathlib import Path
from attnlabels.serving.running import address_of, listen, serve
from attnlabels.serving.safety import Hosts
from attnlabels.serving.site import Site, application
from attnlabels.serving.tokens import Signer

page = Path(sys.argv[1])
site = Site(pages={"": page}, static={}, told={}, actions={})
app = application(site, signer=Signer(b"k" * 32), hosts=Hosts("127.0.0.1"))
bound = listen("127.0.0.1", 0)
serve(app, bound, address=address_of(bound, "127.0.0.1"), opening=False,
      said=lambda text: print(text, flush=True))
print("stopped")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_it_answers_until_it_is_told_to_stop_and_ends_well(tmp_path, number):
    (tmp_path / "page.html").write_text("here")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, tmp_path / "page.html"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == b"here"
    os.kill(process.pid, number)
    out, error = process.communicate()
    assert (process.returncode, out, error) == (0, "stopped\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_what_stops_it_as_it_says_its_address_is_heard(number):
    """As by a script that waits for the address, uses the page and ends the server at once."""
    late = threading.Timer(30, os.kill, (os.getpid(), number))
    late.start()
    serve(
        lambda environment, start: [],
        listen("127.0.0.1", 0),
        address="here",
        opening=False,
        said=lambda address: signal.raise_signal(number),
    )
    assert late.is_alive()
    late.cancel()


def test_a_port_that_is_taken_is_told():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: cannot be listened at"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_this_machines_is_told():
    with pytest.raises(OSError, match="give another --port or --host"):
        listen("203.0.113.1", 0)


def test_others_on_the_network_need_a_code():
    require_code("127.0.0.1", None)
    require_code("0.0.0.0", "lab7")
    for code in (None, ""):
        with pytest.raises(ValueError, match="--host 0.0.0.0: others .* --join-code"):
            require_code("0.0.0.0", code)


def test_the_address_is_one_that_a_browser_here_reaches():
    with listen("0.0.0.0", 0) as bound:
        port = bound.getsockname()[1]
        assert address_of(bound, "0.0.0.0") == f"http://127.0.0.1:{port}/"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert address_of(bound, "::1").startswith("http://[::1]:")


def test_a_missing_extra_is_told_in_a_line_with_its_cure(monkeypatch):
    require_server()
    monkeypatch.setattr("attnlabels.serving.extra.NEEDED", ("starlette", "no_such_package"))
    with pytest.raises(
        ValueError, match=r"needs no_such_package.*pip install 'attnlabels\[collect\]"
    ):
        require_server()
