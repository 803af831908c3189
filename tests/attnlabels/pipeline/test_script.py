import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''"""Do a thing.

    python thing.py OUT NAME SEED
"""

import logging
from pathlib import Path

from attnlabels.pipeline.script import run


def main(out: Path, name: str, seed: int) -> None:
    if name == "value":
        raise ValueError("a.tar is cut short; fetch it again")
    if name == "codes":
        logging.getLogger("attnlabels.images").info("left out: %s", "\\x1b[2J.jpg")
        raise ValueError("cafe\\u0301\\n.jpg is cut short")
    if name == "worker":
        raise ValueError(
            "Caught ValueError in DataLoader worker process 0.\\nOriginal Traceback (most recent "
            "call last):\\n  File ...\\nValueError: b.tar is cut short\\n"
        )
    if name == "os":
        (out / "missing").read_bytes()
    if name == "bug":
        raise KeyError("our mistake")
    out.with_name("seen").write_text(repr((out, name, seed)))


if __name__ == "__main__":
    run(main)
'''


@pytest.fixture
def call(tmp_path):
    """Run the script as a user would."""
    script = tmp_path / "thing.py"
    script.write_text(SCRIPT)
    src = Path(__file__).parents[3] / "src"

    def call(*words, **environment):
        return subprocess.run(
            [sys.executable, str(script), *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONPATH": str(src), **environment},
        )

    return call


def test_arguments_are_converted_by_their_annotations(call, tmp_path):
    done = call(str(tmp_path / "out"), "7", "-7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "seen").read_text() == repr((tmp_path / "out", "7", -7))


@pytest.mark.parametrize(
    "words, why",
    [
        ([], "expected 3 arguments, got 0"),
        (["out", "name"], "expected 3 arguments, got 2"),
        (["out", "name", "1", "2"], "expected 3 arguments, got 4"),
        (["out", "name", "one"], "SEED: expected int, got 'one'"),
    ],
)
def test_arguments_that_do_not_fit_show_the_usage(call, words, why):
    done = call(*words)
    assert done.returncode == 2
    assert "python thing.py OUT NAME SEED" in done.stderr
    assert done.stderr.splitlines()[-1] == why


@pytest.mark.parametrize(
    "name, message",
    [
        ("value", "error: a.tar is cut short; fetch it again"),
        ("worker", "error: b.tar is cut short"),
        ("os", "No such file or directory"),
    ],
)
def test_bad_input_is_one_line_without_traceback(call, tmp_path, name, message):
    done = call(str(tmp_path), name, "0")
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "thing.py: error: " in line and message in line


def test_names_of_files_do_nothing_to_the_terminal(call, tmp_path):
    done = call(str(tmp_path), "codes", "0")
    log, error = done.stderr.splitlines()
    assert log.endswith(r"thing.py: left out: \x1b[2J.jpg")
    assert error.endswith(r"thing.py: error: cafe\u0301\n.jpg is cut short")


def test_the_traceback_is_there_for_who_asks(call, tmp_path):
    done = call(str(tmp_path), "value", "0", ATTNLABELS_TRACEBACK="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "a.tar is cut short" in done.stderr


def test_a_mistake_of_ours_keeps_its_traceback(call, tmp_path):
    done = call(str(tmp_path), "bug", "0")
    assert done.returncode == 1 and "Traceback" in done.stderr and "KeyError" in done.stderr
