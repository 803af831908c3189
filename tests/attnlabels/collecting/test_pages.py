"""The pages' own tests, which Node runs: what is pure in them needs no browser."""

import shutil
import subprocess
from pathlib import Path

import pytest

from attnlabels.collecting.start import PAGES, SHARED, static_files

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no node to run the pages' tests")


@needs_node
def test_what_needs_no_browser_in_the_pages_does_what_it_says(tmp_path):
    # as modules of their own package: so Node takes a .js file for a module
    for name, path in static_files(PAGES, SHARED).items():
        shutil.copy(path, tmp_path / name)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tests = shutil.copy(Path(__file__).with_name("pages.test.mjs"), tmp_path)
    done = subprocess.run([NODE, "--test", tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "# pass 24\n" in done.stdout


@needs_node
@pytest.mark.parametrize(
    "name", sorted(name for name in static_files(PAGES, SHARED) if name.endswith(".js"))
)
def test_a_script_is_a_module_without_errors(name, tmp_path):
    module = shutil.copy(static_files(PAGES, SHARED)[name], tmp_path / "module.mjs")
    done = subprocess.run([NODE, "--check", module], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
