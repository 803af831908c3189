"""Run on a GPU all that was written for one: nccl, bf16 and fp16, compile, deterministic, resuming.

    PYTHONPATH=src python benchmarks/gpu.py [--cpu] [CHECK ...]

Linux, a plain checkout and the packages of setup.cfg: all data are made up, in a temporary folder,
and the stages are run by their own `main`. At most 8 minutes on one GPU with 16 cores; with more
GPUs, several processes train as well. What is run is in `gpu_checks.py` and `gpu_studies.py`, and
CHECK names some of it. Each check is a process of its own, with a limit of time: one that raises,
crashes or hangs is a failed row, and the rest goes on. Prints Markdown, a row as soon as it is
known; what the stages say is in a file for each check, whose end goes to stderr if it fails.

Leaves with status 0 if all is kept, with 1 if a check failed, and with 3 if none failed but some
had no time left, as what did not run is not known to work. Without a GPU it says so and leaves with
69. With --cpu the same checks run on a CPU, with tiny networks, to see that they themselves work.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import gpu_checks
import ratios
import torch
from apart import Failed, apart
from gpu_checks import FAILED, SRC, Check, Row
from gpu_data import (
    Place,
    on_cpu,
    on_gpu,
    write_people,
    write_photographs,
    write_teacher,
)
from gpu_studies import studies

from attnlabels.pipeline.machine import cores

CHECKS = {**gpu_checks.CHECKS, "studies": Check(studies, 120)}
LIMIT_S = 470.0  # and some for Python to start
PATIENCE = 5  # times as long on a CPU that others use too
LEAST_S = 10.0  # in which a check can do anything
NO_GPU = 69  # EX_UNAVAILABLE of sysexits.h
NO_TIME = 3
SKIPPED, IN_ALL = "**no time**", f"{LIMIT_S:g} s for all"
LOG_LINES = 15  # of a check that failed


def main(words: list[str]) -> None:
    on_a_cpu, names = "--cpu" in words, [word for word in words if word != "--cpu"] or list(CHECKS)
    end = time.monotonic() + LIMIT_S * (PATIENCE if on_a_cpu else 1)
    if unknown := [name for name in names if name not in CHECKS]:
        raise SystemExit(f"{__doc__}\nno check {unknown[0]!r}; expected {', '.join(CHECKS)}")
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        os.environ["ATTNLABELS_SCRATCH"] = f"{folder}/scratch"
        os.environ["ATTNLABELS_TRACEBACK"] = "1"
        # The checks work in other folders; packages may lie where PYTHONPATH says.
        before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        paths = [str(SRC), *(os.path.abspath(each) for each in before if each)]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        log = Path(folder, "machine.log")
        try:
            ((head, gpu),) = apart(lambda: [machine(on_a_cpu)], limit_s=60, log=log)
        except (Failed, TimeoutError) as error:
            raise SystemExit(f"benchmarks/gpu.py: CUDA does not start: {error}") from None
        if not gpu and not on_a_cpu:
            print("benchmarks/gpu.py: torch sees no GPU here; --cpu tries the checks themselves")
            raise SystemExit(NO_GPU)
        place = place_in(Path(folder), on_a_cpu=on_a_cpu)
        print(head, end="\n\n", flush=True)
        list(apart(lambda: prepare(place), limit_s=60 * place.patience, log=log))
        raise SystemExit(run_all({name: CHECKS[name] for name in names}, place, end=end))


def place_in(folder: Path, *, on_a_cpu: bool) -> Place:
    if not on_a_cpu:
        return on_gpu(folder, workers=min(16, cores()))
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    return on_cpu(folder, patience=PATIENCE)


def machine(on_a_cpu: bool) -> tuple[str, bool]:
    """What is checked, in a line, and whether there is a GPU."""
    gpu = not on_a_cpu and torch.cuda.is_available()
    cuda = f", {torch.cuda.device_count()} GPU, CUDA {torch.version.cuda}" if gpu else ""
    return ratios.machine() + cuda, gpu


def prepare(place: Place) -> Iterator[None]:
    """Make what all checks read."""
    write_photographs(place)
    write_people(place.folder / "people", place, count=8)
    write_teacher(place.folder / "teacher.safetensors", place)
    yield None


def run_all(checks: dict[str, Check], place: Place, *, end: float) -> int:
    """Print the rows of all by `end`, of the monotonic clock; the status to leave with."""
    print("| check | outcome | number | bound |\n|---|---|---|---|", flush=True)
    counts = {FAILED: 0, SKIPPED: 0}
    for name, check in checks.items():
        for row in rows_of(name, check, place, end=end):
            print(f"| {' | '.join(row)} |", flush=True)
            if row.outcome in counts:
                counts[row.outcome] += 1
    print(f"\n{counts[FAILED]} failed, {counts[SKIPPED]} had no time left.", flush=True)
    return 1 if counts[FAILED] else NO_TIME if counts[SKIPPED] else 0


def rows_of(name: str, check: Check, place: Place, *, end: float) -> Iterator[Row]:
    """The rows of one check, and one more if it did not get to its end."""
    left_s = end - time.monotonic()
    if left_s < LEAST_S:
        yield Row(name, SKIPPED, "", IN_ALL)
        return
    folder = place.folder / name
    folder.mkdir()
    log = place.folder / f"{name}.log"
    allowed_s = check.limit_s * place.patience
    limit_s = min(allowed_s, left_s)
    try:
        yield from apart(partial(inside, check, place, folder), limit_s=limit_s, log=log)
    except TimeoutError as error:
        if limit_s < allowed_s:
            yield Row(name, SKIPPED, f"{limit_s:.0f} s were left", IN_ALL)
        else:
            yield Row(name, FAILED, str(error), "")
    except Failed as error:
        yield Row(name, FAILED, str(error).replace("|", "/"), "")
        last = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        print(f"{name}:", *last, sep="\n", file=sys.stderr)


def inside(check: Check, place: Place, folder: Path) -> Iterator[Row]:
    os.chdir(folder)
    yield from check.rows(place)


if __name__ == "__main__":
    main(sys.argv[1:])
