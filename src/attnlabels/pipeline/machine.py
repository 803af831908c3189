"""The machine that a stage runs on: how much of it is taken, and what a result says of it."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_limits

from attnlabels.pipeline.params import PARAMS, read

# What arithmetic may depend on, as Linux calls it, the newest first.
INSTRUCTIONS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 BF16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "asimd": "NEON",
}
# What holds torch to the instructions before AVX-512 (params/avx2.env has it and the others').
HELD_BACK = ("ATEN_CPU_CAPABILITY", "avx2")
PACKAGES = ("torch", "dvc", "attnlabels")


def take_threads(path: Path = PARAMS) -> int:
    """Take the `threads` of the parameter file in torch and BLAS, and return how many.

    Sums are split among threads, so their last digits depend on how many there are, and not on how
    many cores run them. 0 takes the cores that this process may use, shared with the others of its
    launch. OpenCV takes none beside this one: images are many, so workers share them. Only
    libraries that are imported by now are told.

    Raises ValueError if the file has no such whole number.
    """
    asked = read(path).get("threads")
    if type(asked) is not int or asked < 0:
        raise ValueError(
            f"{path}: threads is {asked!r}, expected a whole number; 0 takes all cores"
        )
    threads = asked or max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    threadpool_limits(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if cv2 := sys.modules.get("cv2"):
        cv2.setNumThreads(0)
    return threads


def made_by(threads: int) -> dict[str, str | int]:
    """What the last digits of a result may depend on: processor, threads and versions."""
    versions = {name: _version(name) for name in PACKAGES}
    return {"processor": processor(), "threads": threads, **versions}


def processor() -> str:
    """The processor's name and the newest of its instructions that are taken; and the GPU's.

    For example "AMD EPYC (AVX2)", also of one with newer ones where torch is held to these; or
    "AMD EPYC (AVX2), NVIDIA H100".
    """
    about = _cpuinfo()
    name = about.get("model name") or platform.processor() or platform.machine()
    flags = (about.get("flags") or about.get("Features") or "").split()
    if HELD_BACK in os.environ.items():
        flags = [flag for flag in flags if "512" not in flag and "amx" not in flag]
    newest = next((shown for flag, shown in INSTRUCTIONS.items() if flag in flags), "")
    names = [f"{name} ({newest})" if newest else name]
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        names.append(torch.cuda.get_device_name())
    return ", ".join(names)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries in /proc/cpuinfo; none where there is no such file."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "not installed"
