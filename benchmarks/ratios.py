"""What the benchmarks share: timing in turns on one thread, the machine, and tables of limits.

A machine shared with others slows down and recovers; what is compared is therefore run in turns,
and a ratio is taken within each round. All of it is one thread, so its time on the processor is
its time on an idle machine: waiting for others does not count. Reported are the median and, in
brackets, the extremes.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from attnlabels.pipeline.machine import cores, made_by


class Bound(NamedTuple):
    """A ratio measured in each round, or a value, and the limit that its median must keep."""

    name: str
    measured: Sequence[float]
    limit: float
    at_least: bool
    unit: str

    @property
    def kept(self) -> bool:
        median = statistics.median(self.measured)
        return median >= self.limit if self.at_least else median <= self.limit


def in_turns(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Processor seconds of each function in each round, after one unmeasured round.

    Those of other processes are not among them: where such help, let the `clock` be that on the
    wall, `time.perf_counter`, and the machine have nothing else to do.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for measured in range(-1, rounds):
        for name, function in functions.items():
            start = clock()
            function()
            if measured >= 0:
                seconds[name].append(clock() - start)
    return seconds


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def spread(values: Sequence[float], *, digits: int) -> str:
    """Median [least, largest]; the one value where there is one."""
    median, *extremes = (
        f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))
    )
    return f"{median} [{', '.join(extremes)}]" if len(values) > 1 else median


def seconds_table(seconds: Mapping[str, Sequence[float]], *, of: str = "of one core") -> str:
    lines = [f"| what | milliseconds {of} |", "|---|---:|"]
    lines += [
        f"| {name} | {spread([1e3 * each for each in values], digits=1)} |"
        for name, values in seconds.items()
    ]
    return "\n".join(lines)


def bounds_table(bounds: Sequence[Bound]) -> str:
    lines = ["| what | measured | limit | |", "|---|---:|---:|---|"]
    for each in bounds:
        limit = f"{'≥' if each.at_least else '≤'} {each.limit:g}{each.unit}"
        measured = f"{spread(each.measured, digits=2)}{each.unit}"
        lines.append(f"| {each.name} | {measured} | {limit} | {'' if each.kept else 'missed'} |")
    return "\n".join(lines)


def machine() -> str:
    """What a benchmark says of the machine that it ran on."""
    about = made_by(threads=1)
    return f"{about['processor']}, {cores()} cores, torch {about['torch']}"


def report(
    seconds: Mapping[str, Sequence[float]], bounds: Sequence[Bound], *, of: str = "of one core"
) -> None:
    """Print the machine and both tables; leave with status 1 if a limit is missed."""
    print(machine(), seconds_table(seconds, of=of), bounds_table(bounds), sep="\n\n")
    if not all(each.kept for each in bounds):
        raise SystemExit(1)
