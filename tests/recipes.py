"""Sections of parameters for trainings of seconds, and of an analysis."""

from typing import Any

from attnlabels.psychophysics.analysis import Analysing
from attnlabels.psychophysics.exclusions import Rules

SUPERVISED: dict[str, Any] = {
    "width": 8,
    "stem": "small",
    "zero_init": False,
    "image_size": 24,
    "attention_taps": "stages",
    "batch_size": 6,
    "epochs": 2,
    "warmup_epochs": 1.0,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "attention_learning_rate": 1.0,
    "weight_decay": 1e-4,
    "clean_crop": 1.0,
    "eval_crop": 1.0,
    "crop_area": [0.3, 1.0],
    "development": 0.0,
    "precision": "fp32",
    "processes": 1,
    "workers": 0,
    "checkpoint_minutes": 0.0,
    "checkpoint_steps": 0,
    "compile": False,
    "deterministic": False,
}

ANALYSING = Analysing(
    rules=Rules(
        fastest_ms=20.0,
        whole_accuracy=0.5,
        unanswered_sd=3.0,
        blank_accuracy=None,
        marked="drop",
        unfinished="drop",
    ),
    accuracy=0.75,
    guess=None,
    most_lapses=0.1,
    pairs=None,
    permutations=1000,
    resamples=20,
    seed=0,
)
