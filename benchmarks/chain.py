"""Time the main chain and watch its memory, against the limits below. Linux; needs nothing extra.

    git clone PROJECT fresh && cd fresh && python benchmarks/chain.py

Runs `dvc repro` and then `dvc repro` again, with nothing to do. Prints Markdown: the four
measurements, each with its share of the limit, and seconds by stage (the command, and DVC's hashing
of what it wrote). What DVC and the stages say goes to stderr.

Memory is what is resident, measured twice. "Together" is the largest sum over DVC, its stages and
their workers, read from /proc twice a second: a shorter peak may be missed, and a page that several
processes share counts for each of them. "Largest" is the kernel's own record of the one process
that grew most. Leaves with status 1 if a limit is passed.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ratios import machine

LIMIT_S = 480.0
LIMIT_GB = 6.0
LIMIT_IDLE_S = 3.0
SAMPLE_S = 0.5
RUNNING = re.compile(r"Running stage '(.+)':")
SKIPPED = re.compile(r"Stage '(.+)' (?:didn't change|is cached)")


def main() -> None:
    if not Path("dvc.yaml").is_file() or not Path("/proc/self/statm").is_file():
        raise SystemExit("benchmarks/chain.py: run it on Linux, from the project's root")
    with tempfile.TemporaryDirectory() as scratch:  # no training is resumed
        first_s, together_gb, stages, skipped = repro(scratch)
        largest_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
        if skipped:
            raise SystemExit(f"{len(skipped)} stages had run before, e.g. {skipped[0]}: clone anew")
        idle_s, _, again, _ = repro(scratch)
    if again:
        raise SystemExit(f"{len(again)} stages ran again with nothing changed, e.g. {again[0][0]}")
    rows = [
        (f"`dvc repro`, {len(stages)} stages", first_s, LIMIT_S, "s"),
        ("memory, processes together", together_gb, LIMIT_GB, "GB"),
        ("memory, largest process", largest_gb, LIMIT_GB, "GB"),
        ("`dvc repro`, nothing to do", idle_s, LIMIT_IDLE_S, "s"),
    ]
    print(machine(), limits_table(rows), stages_table(stages), sep="\n\n")
    if any(measured > limit for _, measured, limit, _ in rows):
        raise SystemExit(1)


def repro(scratch: str) -> tuple[float, float, list[tuple[str, float]], list[str]]:
    """Run `dvc repro`; wall seconds, peak GB together, each stage's seconds, stages not run."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "ATTNLABELS_SCRATCH": scratch}
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peaks, ended = [0], threading.Event()
    watcher = threading.Thread(target=watch, args=(process.pid, peaks, ended))
    watcher.start()
    marks: list[tuple[str, float]] = []
    skipped: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        sys.stderr.write(line)
        if found := RUNNING.match(line):
            marks.append((found[1], time.monotonic()))
        elif found := SKIPPED.match(line):
            skipped.append(found[1])
    status = process.wait()
    end = time.monotonic()
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(f"`dvc repro` failed with status {status}; its message is above")
    ends = [mark for _, mark in marks[1:]] + [end]
    stages = [(name, until - mark) for (name, mark), until in zip(marks, ends)]
    return end - start, peaks[0] / 1e9, stages, skipped


def watch(root: int, peaks: list[int], ended: threading.Event) -> None:
    """Keep in `peaks` the largest sum of resident bytes of `root` and its descendants."""
    while not ended.wait(SAMPLE_S):
        peaks[0] = max(peaks[0], resident(root))


def resident(root: int) -> int:
    """Resident bytes of process `root` and its descendants, summed."""
    page = os.sysconf("SC_PAGE_SIZE")
    parents, sizes = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            about = (folder / "stat").read_text().rpartition(")")[2].split()  # a name may hold ")"
            pages = (folder / "statm").read_text().split()[1]
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        parents[int(folder.name)] = int(about[1])
        sizes[int(folder.name)] = int(pages) * page
    family, found = {root}, -1
    while len(family) > found:
        found = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return sum(sizes.get(process, 0) for process in family)


def limits_table(rows: list[tuple[str, float, float, str]]) -> str:
    lines = ["| what | measured | limit | of the limit |", "|---|---:|---:|---:|"]
    for name, measured, limit, unit in rows:
        share = f"{measured / limit:.2f}"
        lines.append(f"| {name} | {measured:.1f} {unit} | {limit:g} {unit} | {share} |")
    return "\n".join(lines)


def stages_table(stages: list[tuple[str, float]]) -> str:
    """Seconds by stage; the runs and seeds of one stage, `name@...`, are summed."""
    groups: dict[str, list[float]] = {}
    for name, seconds in stages:
        groups.setdefault(name.split("@")[0], []).append(seconds)
    lines = ["| stage | times run | seconds |", "|---|---:|---:|"]
    lines += [f"| {name} | {len(all_s)} | {sum(all_s):.1f} |" for name, all_s in groups.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
