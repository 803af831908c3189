"""Scores of runs as `score_likeness` leaves them, made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attnlabels.pipeline.results import Run
from attnlabels.studies.likeness import CONTROLS, MEASURES

SEEDS, N = (0, 1, 2), 40
PATHS = {*MEASURES.values(), *(path for row in CONTROLS.values() for path in row.values())}


def write_run(root: Path, name: str, *, better: float = 0.0, seed: int = 0) -> Run:
    """Scores of a run as `score_likeness` leaves them; all of them are `better` by as much."""
    (root / "m").mkdir(exist_ok=True)
    (root / "s").mkdir(exist_ok=True)
    rng = np.random.default_rng(7)
    base = {path: rng.uniform(0.3, 0.6, (len(SEEDS), N)) for path in sorted(PATHS)}
    noise = np.random.default_rng(seed)
    for i, of_seed in enumerate(SEEDS):
        images = {
            path: values[i] + better + noise.normal(0, 0.01, N) for path, values in base.items()
        }
        frame = pd.DataFrame({"image": [f"{k}.png" for k in range(N)], **images})
        frame.to_csv(root / "s" / f"{name}-{of_seed}.csv", index=False)
        tree: dict[str, Any] = {"blur": "box_49", "map_size": 12, "painted": N}
        for path, values in images.items():
            map, _, measure = path.rpartition(".")
            told = {"n": N, "mean": float(values.mean()), "se": 0.1}
            (tree.setdefault(map, {}) if map else tree)[measure] = told
        tree["smoothgrad"]["share_of_player"] = {"blur": "box_49", "n": N, "share": 0.7, "se": 0.1}
        tree["smoothgrad"]["share_below_null"] = 0.25
        tree["made_by"] = {"processor": "a", "threads": 1}
        (root / "m" / f"{name}-{of_seed}.json").write_text(json.dumps(tree))
    return Run(name=name, study="study", seeds=SEEDS)
