"""Time `dvc repro` with nothing to do: here, and in a project of as many empty stages.

    python benchmarks/idle.py [ROUNDS]

Run it from the project's root after `dvc repro`. Those of the studies are among the stages: DVC
reads them all, whichever it is asked for. The two take 5 turns, or ROUNDS. Prints Markdown; leaves
with status 1 if the median of the seconds here, or of the ratio, passes its limit. The ratio is of
processor time, which other work on the machine moves less.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SECONDS, RATIO = 3.0, 2.0
DVC = [sys.executable, "-m", "dvc"]


class Spent(NamedTuple):
    """Seconds of one `dvc repro`."""

    wall: float
    processor: float


def main(n_rounds: int = 5) -> None:
    if not Path("dvc.lock").is_file():
        raise SystemExit("benchmarks/idle.py: run it from the project's root, after `dvc repro`")
    repro(Path.cwd())
    listed = subprocess.run(
        [*DVC, "stage", "list", "--all", "--name-only"], check=True, capture_output=True, text=True
    )
    n_stages = len(listed.stdout.splitlines())
    with tempfile.TemporaryDirectory() as above:
        empty = Path(above) / "empty"
        write_empty(empty, n_stages)
        repro(empty)  # its files are in memory from now on
        rounds = [(repro(Path.cwd()), repro(empty)) for _ in range(n_rounds)]
    seconds = [ours.wall for ours, _ in rounds]
    ratios = [ours.processor / theirs.processor for ours, theirs in rounds]
    rows = [
        (f"this project, {n_stages} stages, s (at most {SECONDS:g})", seconds),
        (f"{n_stages} empty stages, s", [theirs.wall for _, theirs in rounds]),
        ("this project, s of a processor", [ours.processor for ours, _ in rounds]),
        (f"{n_stages} empty stages, s of a processor", [theirs.processor for _, theirs in rounds]),
        (f"ratio of these two (at most {RATIO:g})", ratios),
    ]
    print("| `dvc repro` with nothing to do | median | least | most |\n|---|---:|---:|---:|")
    for name, values in rows:
        cells = (statistics.median(values), min(values), max(values))
        print(f"| {name} |", *(f"{each:.2f} |" for each in cells))
    if statistics.median(seconds) > SECONDS or statistics.median(ratios) > RATIO:
        raise SystemExit(1)


def write_empty(folder: Path, n_stages: int) -> None:
    """A project whose stages copy one small file along a chain."""
    folder.mkdir()
    (folder / "0.txt").write_text("nothing\n")
    stages = (
        f"  s{i}: {{cmd: cp {i}.txt {i + 1}.txt, deps: [{i}.txt], outs: [{i + 1}.txt]}}\n"
        for i in range(n_stages)
    )
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(stages))
    for command in (["git", "init", "-q"], [*DVC, "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)


def repro(folder: Path) -> Spent:
    """What `dvc repro` takes in `folder`."""
    start, before = time.monotonic(), processor()
    done = subprocess.run([*DVC, "repro"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks/idle.py: `dvc repro` in {folder} failed:\n{done.stderr}")
    return Spent(time.monotonic() - start, processor() - before)


def processor() -> float:
    """Seconds that ended children of this process spent on a processor, in all."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
