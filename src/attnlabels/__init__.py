"""Human-attention labels for contrastive learning.

What the command `attnlabels` does, as functions: `from attnlabels import label`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# A thread of torch that waits for the others spins, on a core that a loader's worker could use: a
# training takes a quarter longer so. Read as torch is imported, so this package comes first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if TYPE_CHECKING:
    from attnlabels.evaluation.benchmarks import Scoring as Scoring
    from attnlabels.evaluation.encoders import Shown as Shown
    from attnlabels.evaluation.evaluate import Running as Running
    from attnlabels.evaluation.evaluate import evaluate as evaluate
    from attnlabels.evaluation.exporting import export as export
    from attnlabels.gathered.choosing import RoundRules as RoundRules
    from attnlabels.gathered.export import export_study as export_study
    from attnlabels.gathered.painted import MapDrawing as MapDrawing
    from attnlabels.gathered.report import report_study as report_study
    from attnlabels.gathered.study import read_study as read_study
    from attnlabels.labelling.labeller import Drawing as Drawing
    from attnlabels.labelling.labels import Work as Work
    from attnlabels.labelling.labels import label as label
    from attnlabels.labelling.labels import label_as_files as label_as_files
    from attnlabels.labelling.own_teacher import train_teacher as train_teacher
    from attnlabels.psychophysics.analysis import Analysing as Analysing
    from attnlabels.psychophysics.exclusions import Rules as Rules
    from attnlabels.psychophysics.making import Making as Making
    from attnlabels.psychophysics.making import make_experiment as make_experiment
    from attnlabels.recordings.fixation_csv import Reading as Reading
    from attnlabels.serving.running import Listening as Listening
    from attnlabels.sessions.results import analyse_experiment as analyse_experiment
    from attnlabels.sessions.results import export_experiment as export_experiment
    from attnlabels.sessions.start import start_experiment as start_experiment
    from attnlabels.shards.contact_sheet import show as show
    from attnlabels.shards.faults import check as check
    from attnlabels.teachers.backbones import Backbone as Backbone
    from attnlabels.teachers.predicting import load_teacher as load_teacher

MODULES = {
    "Analysing": "attnlabels.psychophysics.analysis",
    "Backbone": "attnlabels.teachers.backbones",
    "Drawing": "attnlabels.labelling.labeller",
    "Listening": "attnlabels.serving.running",
    "Making": "attnlabels.psychophysics.making",
    "MapDrawing": "attnlabels.gathered.painted",
    "Reading": "attnlabels.recordings.fixation_csv",
    "RoundRules": "attnlabels.gathered.choosing",
    "Rules": "attnlabels.psychophysics.exclusions",
    "Running": "attnlabels.evaluation.evaluate",
    "Scoring": "attnlabels.evaluation.benchmarks",
    "Shown": "attnlabels.evaluation.encoders",
    "Work": "attnlabels.labelling.labels",
    "analyse_experiment": "attnlabels.sessions.results",
    "check": "attnlabels.shards.faults",
    "evaluate": "attnlabels.evaluation.evaluate",
    "export": "attnlabels.evaluation.exporting",
    "export_experiment": "attnlabels.sessions.results",
    "export_study": "attnlabels.gathered.export",
    "label": "attnlabels.labelling.labels",
    "label_as_files": "attnlabels.labelling.labels",
    "load_teacher": "attnlabels.teachers.predicting",
    "make_experiment": "attnlabels.psychophysics.making",
    "read_study": "attnlabels.gathered.study",
    "report_study": "attnlabels.gathered.report",
    "show": "attnlabels.shards.contact_sheet",
    "start_experiment": "attnlabels.sessions.start",
    "train_teacher": "attnlabels.labelling.own_teacher",
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the command's --help needs none of what they import.
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
