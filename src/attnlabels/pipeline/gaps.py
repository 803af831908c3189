"""Results of which some may be missing: what is not there, and the command that makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from attnlabels.pipeline.results import MAIN, Run

Value = TypeVar("Value")


@dataclass(frozen=True)
class Results:
    """What the runs left; a file that is not there is noted under the section that asked for it."""

    metrics: Path
    data: Path
    runs: Mapping[str, Run]
    gaps: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # section, command: files

    def by_seed(
        self, section: str, each: Run, path: str, reader: Callable[[Path], Value]
    ) -> dict[int, Value]:
        """By seed, what `reader` makes of the files named such as "data/curves/*.csv"."""
        root, folder, end = path.split("/")
        suffix, found = end.removeprefix("*"), {}
        for seed in each.seeds:
            file = each.file(getattr(self, root), folder, seed, suffix=suffix)
            value = self.read(section, file, reader, study=each.study)
            if value is not None:
                found[seed] = value
        return found

    def read(
        self, section: str, path: Path, reader: Callable[[Path], Value], *, study: str
    ) -> Value | None:
        """What `reader` reads, or None and a note of the gap where the file is missing."""
        try:
            return reader(path)
        except FileNotFoundError:
            files = self.gaps.setdefault(section, {}).setdefault(command_of(study), [])
            if str(path) not in files:
                files.append(str(path))
            return None


def command_of(study: str) -> str:
    """What makes a study's results."""
    return "dvc repro" if study == MAIN else f"dvc repro stages/{study}/dvc.yaml"
