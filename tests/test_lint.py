"""The formatter, the linter and the type checker have nothing to say, as `setup.cfg` sets them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("src", "tests", "benchmarks")


@pytest.mark.parametrize(
    "words",
    [("ruff", "format", "--check", *CODE), ("ruff", "check", *CODE), ("mypy",)],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_tool_finds_nothing(words):
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_that_begin_first_are_there(pytestconfig):
    conftest = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    assert {*conftest.LONG} <= {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
