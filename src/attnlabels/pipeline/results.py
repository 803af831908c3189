"""Reading what earlier stages left, for the tables and the figures.

A study is a table of runs in params.yaml. Those of `main`, the root's dvc.yaml, are trained for
each of `seeds` and leave their files under metrics/ and data/; those of another study, for each
of `study_seeds` (of `methods`, of `seeds`), and under metrics/<study>/ and data/<study>/.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnlabels.files.damage import opened_npz

MAIN = "main"
METHODS = "methods"  # the study that is of differences over seeds, and so trained for all of them
PARAMS = "params.yaml"


class Run(NamedTuple):
    """A row of a study's table."""

    study: str
    name: str
    seeds: tuple[int, ...]

    def file(self, root: Path, folder: str, seed: int, *, suffix: str) -> Path:
        """Where the run's file is in a folder under `metrics` or `data`, which is `root`."""
        return folder_of(root, self.study) / folder / f"{self.name}-{seed}{suffix}"

    @property
    def trained_by(self) -> str:
        """The stage that trains it."""
        return "train_supervised" if self.study == "supervised" else "train_simclr"


def folder_of(root: Path, study: str) -> Path:
    """Where a study's files are under `metrics` or `data`."""
    return root if study == MAIN else root / study


def runs_of(studies: str, tree: Mapping[str, Any]) -> dict[str, Run]:
    """The runs by name of the studies that a word joins by "+", such as "main+table1".

    `tree` is the whole of params.yaml. Raises ValueError for what is no table of runs, for seeds
    that are no list of different whole numbers, and for two runs of one name.
    """
    runs: dict[str, Run] = {}
    for study in studies.split("+"):
        table = tree.get(study)
        if not table or not isinstance(table, Mapping):
            raise ValueError(
                f"{PARAMS} has no table of runs {study!r}, one of the studies {studies!r}"
            )
        seeds = _seeds(tree, "seeds" if study in (MAIN, METHODS) else "study_seeds")
        for name in table:
            if name in runs:
                raise ValueError(
                    f"{PARAMS} has a run {name!r} in {runs[name].study} and in {study}; rename one"
                )
            runs[name] = Run(study, name, seeds)
    return runs


def own_baselines(runs: Mapping[str, Run], tree: Mapping[str, Any]) -> dict[str, str | None]:
    """As `make_tables.baselines`, what studies of `runs` have in sections of their own.

    That of a study is `compare_<study>`, so that what it adds makes no other study's tables stale.
    """
    found: dict[str, str | None] = {}
    for study in dict.fromkeys(each.study for each in runs.values()):
        found |= tree.get(f"compare_{study}", {}).get("baselines", {})
    return found


def baseline_of(run: Run, *, default: str, others: Mapping[str, str | None]) -> str | None:
    """The run that a run is compared with: as `others` says of it, or of its study, or `default`.

    None for one that is compared with none, or would be with itself.
    """
    baseline = others.get(run.name, others.get(run.study, default))
    return None if baseline == run.name else baseline


def read_json(path: Path, *, stage: str) -> dict[str, Any]:
    """The nested numbers that `stage` wrote with `write_json`."""
    try:
        return json.loads(require(path, stage).read_text())
    except ValueError as error:
        raise ValueError(f"{path}: no whole JSON ({error}); run the stage {stage} again") from error


def read_arrays(path: Path, *, keys: tuple[str, ...], stage: str) -> dict[str, np.ndarray]:
    """The arrays `keys` of an npz file, all about the same n things, at least one."""
    require(path, stage)
    cure = f"run the stage {stage} again"
    with opened_npz(path, what="no whole npz of numbers", cure=cure) as file:
        names = list(file)
        arrays = {key: file[key] for key in keys if key in names}
    require_keys(path, keys, names, stage)
    lengths = {key: len(array) for key, array in arrays.items()}
    if len({*lengths.values()}) != 1 or not lengths[keys[0]]:
        raise ValueError(f"{path} holds arrays of the lengths {lengths}, expected one and not 0")
    return arrays


def _seeds(tree: Mapping[str, Any], key: str) -> tuple[int, ...]:
    seeds = tree.get(key)
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not whole or not seeds or len({*seeds}) < len(seeds):
        raise ValueError(
            f"{PARAMS}.{key} is {seeds!r}, expected a list of different whole numbers, such as [0]"
        )
    return tuple(seeds)


def require(path: Path, stage: str) -> Path:
    """The path. Raises FileNotFoundError unless it is a file, which `stage` makes."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run the stage {stage}")
    return path


def require_keys(path: Path, wanted: tuple[str, ...], present: list[str], stage: str) -> None:
    """Raises ValueError unless all names that are wanted of what `stage` left are present."""
    missing = [key for key in wanted if key not in present]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; run the stage {stage} again")
