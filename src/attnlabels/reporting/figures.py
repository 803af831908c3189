"""The figures: agreement, retrieval, robustness, training, labels and maps."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from attnlabels.pipeline.frames import read_csv
from attnlabels.pipeline.results import read_arrays, read_json
from attnlabels.reporting.legend import (
    BINS,
    CORRUPTED,
    PEOPLE_COLOUR,
    PRIOR_COLOUR,
    READOUTS,
    RUN_COLOURS,
    SETS,
    TEACHER_COLOUR,
    TERMS,
    over_seeds,
    show,
)
from attnlabels.reporting.scores import CC_COLUMNS
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA, SEVERITIES

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "image.cmap": "inferno",
}

Colours = Mapping[str, str]  # by run, in the order of the table `main`
Readouts = Mapping[str, Sequence[str]]  # by run
Seeds = Sequence[int]


def readouts_of(row: Mapping[str, Any]) -> list[str]:
    """A run that is trained without attention has the maps of a refitted readout alone."""
    return ["refitted"] if row.get("attention") == "none" else list(READOUTS)


def write_png(path: Path, figure: Figure) -> None:
    """In 256 colours, which a third of the bytes hold, and without a date or a version."""
    figure.set_dpi(100)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    Image.fromarray(pixels).quantize(256, kmeans=2).save(path, optimize=True)


def draw_alignment(
    folder: Path, colours: Colours, readouts: Readouts, *, seeds: Seeds, subset: str
) -> Figure:
    """Histograms of the images' CC, those of all seeds together; upright lines are the means."""
    bars = ("teacher", "centre_prior", "split_half")
    teacher = _read_cc(folder / "teacher.csv", subset, readouts=bars, stage="evaluate_teacher")
    runs = {
        name: [
            _read_cc(
                folder / f"{name}-{seed}.csv", subset, readouts=of_run, stage="align_attention"
            )
            for seed in seeds
        ]
        for name, of_run in readouts.items()
    }
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, len(READOUTS), sharex=True, sharey=True)
    for axes, (readout, title) in zip(panels, READOUTS.items()):
        _draw_histogram(axes, teacher["teacher"], TEACHER_COLOUR)
        for name in (name for name in colours if readout in readouts[name]):
            _draw_histogram(axes, np.concatenate([cc[readout] for cc in runs[name]]), colours[name])
        axes.axvline(teacher["centre_prior"].mean(), color=PRIOR_COLOUR, linestyle=":")
        axes.axvline(teacher["split_half"].mean(), color=PEOPLE_COLOUR, linestyle="--")
        axes.set(title=f"attention heads {title}", xlabel=f"CC with people, by image ({subset})")
    panels[0].set_ylabel("density")
    _add_legend(
        figure,
        {
            **_run_lines(colours),
            "teacher": {"color": TEACHER_COLOUR},
            "centre prior, mean": {"color": PRIOR_COLOUR, "linestyle": ":"},
            "people, half and half, mean": {"color": PEOPLE_COLOUR, "linestyle": "--"},
        },
    )
    return figure


def _read_cc(
    path: Path, subset: str, *, readouts: Sequence[str], stage: str
) -> dict[str, Float[np.ndarray, "n"]]:
    """The images' CC by readout, of these at least."""
    rows = read_csv(path, columns=CC_COLUMNS, stage=stage)
    rows = rows[rows["set"] == subset]
    if not len(rows):
        raise ValueError(
            f"{path} has no rows of the set {subset!r}; see draw_figures.alignment_set"
        )
    found = {str(each): group["cc"].to_numpy() for each, group in rows.groupby("readout")}
    for each in readouts:
        if each not in found:
            raise ValueError(f"{path} has no maps {each}; run the stage {stage} again")
    return found


def _draw_histogram(axes: Axes, values: Float[np.ndarray, "n"], colour: str) -> None:
    density, _ = np.histogram(values, BINS, density=True)
    there = slice(density.nonzero()[0][0], density.nonzero()[0][-1] + 1)
    edges = BINS[there.start : there.stop + 1]
    axes.stairs(density[there], edges, fill=True, color=colour, alpha=0.15)
    axes.stairs(density[there], edges, color=colour, linewidth=1.2)
    axes.axvline(values.mean(), color=colour)


def draw_retrieval(folder: Path, colours: Colours, *, seeds: Seeds, corruption: str) -> Figure:
    """A row of panels a data set: clean, then each severity of one corruption."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    grid = figure.subplots(len(SETS), 1 + len(SEVERITIES), sharex=True, sharey="row")
    for name, colour in colours.items():
        curves = [_read_curves(folder / f"{name}-{seed}.csv") for seed in seeds]
        for panels, key in zip(grid, SETS):
            for severity, axes in enumerate(panels):
                which = (key, corruption if severity else "clean", severity)
                if not all(which in each for each in curves):
                    raise ValueError(
                        f"{folder}: a curve of {name} lacks {which}; see "
                        "draw_figures.retrieval_corruption"
                    )
                recall = np.mean([each[which]["recall"] for each in curves], axis=0)
                precision = np.stack([each[which]["precision"] for each in curves])
                _draw_band(axes, recall, precision, colour)
    for panels, title in zip(grid, SETS.values()):
        panels[0].set_ylabel(f"{title}\nprecision")
    for severity, axes in enumerate(grid[0]):
        axes.set_title(f"{show(corruption)}, severity {severity}" if severity else "clean")
    for axes in grid[-1]:
        axes.set(xlabel="recall", xlim=(0, 1), xticks=[0, 0.5, 1], xticklabels=["0", "0.5", "1"])
    _add_legend(figure, _run_lines(colours))
    return figure


def _read_curves(path: Path) -> dict[Any, pd.DataFrame]:
    """The rows of each (set, corruption, severity), by k."""
    columns = ("set", "corruption", "severity", "k", "precision", "recall")
    rows = read_csv(path, columns=columns, stage="score_retrieval")
    return dict(list(rows.groupby(["set", "corruption", "severity"])))


def draw_robustness(folder: Path, colours: Colours, *, seeds: Seeds) -> Figure:
    """Bars for each corruption, the mean over severities; dashed lines are the clean accuracy."""
    paths = [folder / f"{name}-{seed}.json" for name in colours for seed in seeds]
    reports = {path: read_json(path, stage="score_robustness") for path in paths}
    keys = _robustness_keys(report[subset] for report in reports.values() for subset in CORRUPTED)
    places = np.arange(len(keys)) + (np.arange(len(keys)) > len(CORRUPTIONS))  # a gap between
    width = 0.8 / len(colours)
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(len(CORRUPTED), 1, sharex=True)
    for i, (name, colour) in enumerate(colours.items()):
        for axes, (subset, title) in zip(panels, CORRUPTED.items()):
            scores = [reports[folder / f"{name}-{seed}.json"][subset] for seed in seeds]
            own = _robustness_keys(scores)
            values = [[_top1_of(each, key) for key in own] for each in scores]
            mean, error = over_seeds(np.array(values))
            offset = (i - (len(colours) - 1) / 2) * width
            bars = places[[keys.index(key) for key in own]] + offset
            axes.bar(bars, mean, width, yerr=error, color=colour, ecolor="#333333")
            axes.axhline(np.mean([each["clean"] for each in scores]), color=colour, linestyle="--")
            generated = any(each["generated"] for each in scores)
            axes.set_title(f"{title}, corrupted by us" if generated else title)
            axes.set_ylabel("top-1 accuracy")
            axes.grid(visible=False, axis="x")
    names = {"mean": "mean of the 15", "mean_extra": "mean of the 4"}
    labels = [names.get(key, show(key)) for key in keys]
    panels[-1].set_xticks(places, labels, rotation=40, ha="right")
    panels[-1].set_xlim(-0.7, places[-1] + 0.7)
    clean = {"clean images": {"color": "#333333", "linestyle": "--"}}
    _add_legend(figure, _run_lines(colours) | clean)
    return figure


def _robustness_keys(reports: Iterable[Mapping[str, Any]]) -> list[str]:
    """What there is a bar for; of the extra corruptions only those that one of the reports has."""
    there = {key for report in reports for key in report}
    return ["mean", *CORRUPTIONS, *(key for key in ("mean_extra", *EXTRA) if key in there)]


def _top1_of(scores: Mapping[str, Any], key: str) -> float:
    """A corruption's mean over severities, or one of the means over corruptions."""
    return scores[key]["mean"] if isinstance(scores[key], Mapping) else scores[key]


def draw_training(folder: Path, colours: Colours, *, seeds: Seeds) -> Figure:
    """A panel a term of the loss, of the runs that weigh it."""
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    panels = figure.subplots(1, len(TERMS), sharex=True)
    for name, colour in colours.items():
        paths = [folder / f"{name}-{seed}.csv" for seed in seeds]
        tables = [read_csv(path, columns=("epoch", "loss"), stage="train_simclr") for path in paths]
        for axes, term in zip(panels, TERMS):
            if term in tables[0]:
                by_seed = np.stack([table[term] for table in tables])
                _draw_band(axes, tables[0]["epoch"].to_numpy(float), by_seed, colour)
    for axes, title in zip(panels, TERMS.values()):
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _add_legend(figure, _run_lines(colours))
    return figure


def draw_labels(path: Path, n_examples: int) -> Figure:
    """Rows: images, human maps, the teacher's maps, the images with the teacher's fixations."""
    arrays = read_arrays(
        path, keys=("images", "human", "teacher", "points", "names"), stage="label_images"
    )
    images, points = arrays["images"], arrays["points"]
    rows = {
        "image": images,
        "people": arrays["human"],
        "teacher": arrays["teacher"],
        "pseudo fixations": images,
    }
    figure, grid = _draw_grid({title: each[:n_examples] for title, each in rows.items()})
    for axes, image, found in zip(grid[-1], images, points):
        draw_points(axes, found, grid=arrays["teacher"].shape[1:], size=image.shape[:2])
    return figure


def draw_points(
    axes: Axes, points: Integer[np.ndarray, "p 2"], *, grid: tuple[int, ...], size: tuple[int, ...]
) -> None:
    """Marks at (row, col) cells of a grid over an image of `size`; rows of -1 are padding."""
    there = points[(points >= 0).all(axis=1)]
    rows, columns = ((there + 0.5) * np.divide(size, grid) - 0.5).T  # middles of cells
    axes.scatter(columns, rows, s=22, color=RUN_COLOURS[0], edgecolor="black", linewidth=0.8)


def draw_attention(folder: Path, readouts: Readouts, *, seed: int, n_examples: int) -> Figure:
    """Rows: images, human maps, the teacher's, then each run's as trained and refitted."""
    teacher = read_arrays(
        folder / "teacher.npz", keys=("images", "human", "maps", "names"), stage="evaluate_teacher"
    )
    rows = {"image": teacher["images"], "people": teacher["human"], "teacher": teacher["maps"]}
    for readout, title in READOUTS.items():
        for name in (name for name in readouts if readout in readouts[name]):
            path = folder / f"{name}-{seed}.npz"
            arrays = read_arrays(path, keys=(f"maps_{readout}", "names"), stage="align_attention")
            if not np.array_equal(arrays["names"][:n_examples], teacher["names"][:n_examples]):
                raise ValueError(
                    f"{path} shows other images than {folder / 'teacher.npz'}; run the stages "
                    "evaluate_teacher and align_attention again"
                )
            rows[f"{show(name)},\n{title}"] = arrays[f"maps_{readout}"]
    figure, _ = _draw_grid({title: each[:n_examples] for title, each in rows.items()})
    return figure


def _draw_grid(
    rows: Mapping[str, UInt8[np.ndarray, "n h w 3"] | Float[np.ndarray, "n h w"]],
) -> tuple[Figure, np.ndarray]:
    """A row of pictures for each title; a map spans the colours from its least to its largest."""
    n = len(next(iter(rows.values())))
    height, width = next(iter(rows.values())).shape[1:3]
    side = 1.3  # inches
    figure = Figure(
        figsize=(1.5 + side * n, 0.3 + side * len(rows) * height / width), layout="constrained"
    )
    grid = figure.subplots(len(rows), n, squeeze=False)
    for panels, (title, pictures) in zip(grid, rows.items()):
        for axes, picture in zip(panels, pictures):
            axes.imshow(picture, aspect="auto", interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        panels[0].set_ylabel(title, rotation=0, ha="right", va="center")
    figure.supxlabel("Each map spans all colours, from its least value to its largest.", fontsize=9)
    return figure, grid


def _draw_band(
    axes: Axes, x: Float[np.ndarray, "n"], by_seed: Float[np.ndarray, "s n"], colour: str
) -> None:
    mean, error = over_seeds(by_seed)
    axes.plot(x, mean, color=colour)
    if error is not None:
        axes.fill_between(x, mean - error, mean + error, color=colour, alpha=0.25, linewidth=0)


def _run_lines(colours: Colours) -> dict[str, dict[str, str]]:
    return {show(name): {"color": colour} for name, colour in colours.items()}


def _add_legend(figure: Figure, lines: Mapping[str, Any]) -> None:
    handles = [Line2D([], [], label=label, **style) for label, style in lines.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 3))
