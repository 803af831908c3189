"""Say which stages would run although nothing but data is missing: their locks are out of step.

    python .ci/stale.py

For a fresh clone, in the project's root. Leaves with status 1 if a stage of the main chain would
run; those of studies are named alone, as a study may wait. What depends on a stage may not be
named.
"""

import re
import subprocess
import sys
from pathlib import Path

DRY_RUN = [sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing", "--keep-going"]


def main() -> None:
    if sys.argv[1:]:
        raise SystemExit(f".ci/stale.py takes no words, and was given {' '.join(sys.argv[1:])}")
    pipelines = ["dvc.yaml", *map(str, sorted(Path("stages").glob("*/dvc.yaml")))]
    would_run = stale(pipelines)
    stages = {each: [name for name in would_run if pipeline_of(name) == each] for each in pipelines}
    for pipeline, own in stages.items():
        report(pipeline, own)
    if stages["dvc.yaml"]:
        raise SystemExit(
            "dvc.lock is of other code: `dvc repro list_code`, and what is stale then `dvc repro`, "
            "or `python .ci/relock.py` where outputs were shown unmoved"
        )


def stale(pipelines: list[str]) -> list[str]:
    """The stages that would run to bring the pipelines up to date; one call, as each reads all."""
    done = subprocess.run([*DRY_RUN, *pipelines], capture_output=True, text=True)
    would_run = re.findall(r"^Running stage '(.+)'", done.stdout, re.MULTILINE)
    # Where it would run but its dependencies are not there, DVC says that it failed.
    failed = re.findall(r"failed to reproduce(?: stages:)? ('.+')$", done.stderr, re.MULTILINE)
    would_run += [name for names in failed for name in re.findall("'(.+?)'", names)]
    if done.returncode and not would_run:
        raise SystemExit(f"{' '.join(DRY_RUN[1:])} failed:\n{done.stderr}")
    return would_run


def pipeline_of(stage: str) -> str:
    """The file of a stage as DVC names it; that of the root is not named."""
    return stage.rpartition(":")[0] or "dvc.yaml"


def report(pipeline: str, stages: list[str]) -> None:
    said = "in step" if not stages else f"{len(stages)} would run: {', '.join(stages)}"
    print(f"{pipeline}: {said}", flush=True)


if __name__ == "__main__":
    main()
