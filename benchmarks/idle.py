"""Time `dvc repro` with nothing to do: here, in a project of 15 empty stages, in one of as many.

    python benchmarks/idle.py [ROUNDS]

Run it from the project's root after `dvc repro`. The three take 5 turns, or ROUNDS. Prints
Markdown; leaves with status 1 if the median ratio to the 15 stages passes the limit.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.5
DVC = [sys.executable, "-m", "dvc"]


def main(n_rounds: int = 5) -> None:
    if not Path("dvc.lock").is_file():
        raise SystemExit("benchmarks/idle.py: run it from the project's root, after `dvc repro`")
    repro(Path.cwd())
    n_stages = Path("dvc.lock").read_text().count("\n    cmd:")
    with tempfile.TemporaryDirectory() as empty:
        folders = [Path.cwd(), Path(empty) / "few", Path(empty) / "many"]
        write_empty(folders[1], 15)
        write_empty(folders[2], n_stages)
        for folder in folders:
            repro(folder)  # its files are in memory from now on
        rounds = [[repro(folder) for folder in folders] for _ in range(n_rounds)]
    ours, few, many = zip(*rounds)
    ratios = [a / b for a, b in zip(ours, few)]
    rows = [
        (f"this project, {n_stages} stages, s", ours),
        ("15 empty stages, s", few),
        (f"{n_stages} empty stages, s", many),
        (f"ratio to 15 (at most {LIMIT})", ratios),
        (f"ratio to {n_stages}", [a / b for a, b in zip(ours, many)]),
    ]
    print("| `dvc repro` with nothing to do | median | least | most |\n|---|---:|---:|---:|")
    for name, values in rows:
        cells = (statistics.median(values), min(values), max(values))
        print(f"| {name} |", *(f"{each:.2f} |" for each in cells))
    if statistics.median(ratios) > LIMIT:
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


def repro(folder: Path) -> float:
    """Seconds of `dvc repro` in `folder`."""
    start = time.monotonic()
    done = subprocess.run([*DVC, "repro"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks/idle.py: `dvc repro` in {folder} failed:\n{done.stderr}")
    return time.monotonic() - start


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
