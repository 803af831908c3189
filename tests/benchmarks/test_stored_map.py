"""Runs the comparison of stored maps."""

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "stored_map.py"


def test_sixteen_bits_lose_less_than_eight_and_small_maps_are_few_bytes() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1] / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    form = r"\| (\d+) \| (\w+), \d+ \| (\d+) \| \d+ \[\d+, \d+\] \| (\S+) \| \S+ \|"
    rows = {
        (int(bits), size): (int(n_bytes), float(lost))
        for bits, size, n_bytes, lost in re.findall(form, done.stdout)
    }
    assert len(rows) == 6
    for size in ("full", "half", "quarter"):
        assert rows[16, size][1] < rows[8, size][1]
    for bits in (8, 16):
        assert rows[bits, "quarter"][0] < rows[bits, "half"][0] < rows[bits, "full"][0]
