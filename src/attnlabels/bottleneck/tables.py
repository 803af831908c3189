"""Networks through a bottleneck, run by run and run against run, as tables and a figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnlabels.metrics.statistics import Mean, mean_se
from attnlabels.pipeline.results import Run, read_arrays
from attnlabels.reporting.figures import STYLE
from attnlabels.reporting.legend import PRIOR_COLOUR, RUN_COLOURS, over_seeds, show
from attnlabels.reporting.tables import Row, Table
from attnlabels.studies.likeness import Scored

Curve: TypeAlias = Float[np.ndarray, " x"]
STAGE = "score_bottleneck"
BETA = "code_bits"  # the term whose weight is β
NETWORKS = {  # columns, by what the stage calls them
    "accuracy": "top1",
    "bits of the code": "code_bits",
    "its noise": "code_noise",
    "bits of a cell": "mask_bits",
    "noise of the mask": "mask_noise",
    "IoU mask": "mask.iou",
    "rho mask": "mask.rho",
    "IoU gradient": "gradient.iou",
    "rho gradient": "gradient.rho",
}
CURVES = {
    f"{way}, {order}": f"{way}.{order}"
    for way in ("deletion", "insertion")
    for order in ("mask", "gradient", "random")
}
OF_CHANGE = {"accuracy": "top1", "IoU": "iou", "alike": "alike", "above null": "above_null"}
TEXTS = {
    "networks": (
        "Networks through a bottleneck",
        "Means over {seeds} seeds ± their standard error, of {images} test images. Bits are what "
        "the code, or a cell of the mask, tells of an image at most, its divergence from N(0, 1), "
        "and noise is the deviation that it is drawn by. IoU with the object is that of as many "
        "pixels as the object has, of the mask's mean, or of the gradient of the class told; the "
        "last row is what a random part has. rho is Spearman's correlation with the mean map of "
        "those who painted what matters.",
    ),
    "stability": (
        "Is it attended to as before?",
        "Of images that are changed, means over seeds ± standard error: accuracy; IoU of the mask "
        "with the object; how alike (centred correlation) the mask is to that of the image as it "
        "was; and the share of images of which it is more alike than 95 % of pairs of images of "
        "two classes are, whose mean is in the column null. A window of one colour or of another "
        "image's texture lies beside the object; low and high pass keep frequencies below and "
        "above so many cycles an image. A mask that looks at no image is the most stable one.",
    ),
    "curves": (
        "Deletion and insertion",
        "Area under accuracy over the share of cells that are made grey (deletion: the lower, the "
        "sooner what is needed is gone) or shown on grey (insertion: the higher, the sooner it is "
        "there), in the order of the mask, of the gradient of the class told, and at random; of "
        "{curve_images} images, means over seeds ± standard error.",
    ),
    "transfer": (
        "What else the features are good for",
        "Top-1 accuracy of a linear classifier on frozen features, of other images than the "
        "network learnt from: of the last stage, and of the code's means. Means over seeds ± "
        "standard error.",
    ),
    "contrasts": (
        "{measure}: one run minus another",
        "Paired over {seeds} seeds (± standard error, the {level:.3g} % interval of Student's t, "
        "`p seeds`) and over the images, averaged over seeds (`p images`, {permutations} sign "
        "flips). Each p is two-sided, and `holm` the same corrected for all rows of this table. A "
        "difference is found where both are small.",
    ),
}


def tabulate_networks(scored: Mapping[str, Scored]) -> Table:
    """A row a run, and chance."""
    table = {name: row_of(each, NETWORKS) for name, each in scored.items()}
    first = next(iter(scored.values()))
    return table | {"chance": row_of(first, {"IoU mask": "chance", "IoU gradient": "chance"})}


def tabulate_curves(scored: Mapping[str, Scored]) -> Table:
    return {name: row_of(each, CURVES) for name, each in scored.items()}


def tabulate_stability(scored: Mapping[str, Scored]) -> Table:
    """A row a run that has a mask and a change, the first of a run as it is."""
    table: Table = {}
    for name, each in scored.items():
        if "mask.iou.mean" in each.seeds:
            table[name] = row_of(each, {"accuracy": "top1", "IoU": "mask.iou"})
            for change in changes_in(each):
                columns = {key: f"{change}.{of}" for key, of in OF_CHANGE.items()}
                found = row_of(each, {**columns, "null": "null.alike"})
                table[f"{name}, {show(change)}"] = found
    return table


def changes_in(scored: Scored) -> list[str]:
    """The changes that a run was scored under."""
    ending = ".stays.mean"
    return [key.removesuffix(ending) for key in scored.seeds if key.endswith(ending)]


def tabulate_transfer(scored: Mapping[str, Scored]) -> Table:
    """A row a run: accuracy on the other set, of the features and of the code."""
    return {
        name: {
            of: mean_se(each.seeds[f"transfer.{of}.top1"].to_numpy(np.float64))
            for of in ("features", "code")
        }
        for name, each in scored.items()
    }


def told_bits(scored: Mapping[str, Scored], betas: Mapping[float, str]) -> list[str]:
    """How many bits the code has by β, in a sentence, or in none where it has none."""
    if not betas:
        return []
    each = {beta: row_of(scored[name], NETWORKS) for beta, name in betas.items()}
    told = ", ".join(
        f"{_of(row, 'bits of the code'):.3g} at {beta:g}" for beta, row in each.items()
    )
    accuracy = ", ".join(f"{_of(row, 'accuracy'):.3f}" for row in each.values())
    if len(betas) == 1:
        return [f"Bits of the code: {told}; accuracy {accuracy}."]
    verb = "fall" if falls(scored, betas) else "do not always fall"
    return [f"Bits of the code {verb} with β in each seed: {told}; accuracy {accuracy}."]


def told_masks(scored: Mapping[str, Scored]) -> str:
    """Which masks lie on objects more than a random part does, in all seeds, in a sentence."""
    masked = {name: each for name, each in scored.items() if "mask.iou.mean" in each.seeds}
    above = [
        show(name)
        for name, each in masked.items()
        if (each.seeds["mask.iou.mean"] > each.seeds["chance.mean"]).all()
    ]
    some = ", ".join(above) or "none"
    return (
        f"Masks that lie on objects more than chance does, in each seed: {some} of {len(masked)}."
    )


def _of(row: Row, key: str) -> float:
    cell = row[key]
    assert isinstance(cell, Mean)
    return cell.mean


def row_of(scored: Scored, columns: Mapping[str, str]) -> Row:
    """Means over seeds of what a run has."""
    of, paths = scored.seeds, {key: f"{path}.mean" for key, path in columns.items()}
    return {
        key: mean_se(of[path].to_numpy(np.float64)) for key, path in paths.items() if path in of
    }


def by_beta(
    rows: Mapping[str, Mapping[str, Any]], scored: Mapping[str, Scored]
) -> dict[float, str]:
    """The runs that are alike but for β, by it, rising: those that are as the first of these is."""

    def rest(row: Mapping[str, Any]) -> dict[str, Any]:
        others = {key: value for key, value in row["weights"].items() if key != BETA}
        return {**row, "weights": others}

    told = {name: row for name, row in rows.items() if row["mask"] and BETA in row["weights"]}
    first: Mapping[str, Any] = next(iter(told.values()), {"weights": {}})
    found = {row["weights"][BETA]: name for name, row in told.items() if rest(row) == rest(first)}
    return {beta: found[beta] for beta in sorted(found) if found[beta] in scored}


def falls(scored: Mapping[str, Scored], betas: Mapping[float, str]) -> bool:
    """Whether the code's bits fall with each rise of β, in each seed."""
    bits = np.array([scored[name].seeds["code_bits.mean"].to_numpy() for name in betas.values()])
    return bool((np.diff(bits, axis=0) < 0).all())


def draw(
    scored: Mapping[str, Scored], betas: Mapping[float, str], curves: Mapping[str, Any], run: str
) -> Figure:
    """Bits and accuracy against β; accuracy against IoU; deletion and insertion of one run."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12, 3.6), layout="constrained")
        one, two, three = figure.subplots(1, 3)
        if betas:
            _draw_betas(one, scored, betas)
        else:
            one.set_axis_off()
        _draw_runs(two, scored)
        for i, (key, (x, by_seed)) in enumerate(curves.items()):
            mean, error = over_seeds(by_seed)
            way, _, order = key.partition(".")
            style = {"color": RUN_COLOURS[i % 3], "linestyle": "-" if way == "deletion" else "--"}
            three.errorbar(100 * x, mean, error, label=f"{way}, {order}", **style)
        three.set(xlabel="% of cells", ylabel="accuracy", ylim=(0, 1), title=show(run))
        three.legend(fontsize=7, loc="lower center", ncols=2)
    return figure


def _draw_betas(axes: Axes, scored: Mapping[str, Scored], betas: Mapping[float, str]) -> None:
    labels = [f"{beta:g}" for beta in betas]
    right = axes.twinx()
    for on, path, colour in ((axes, "code_bits", RUN_COLOURS[1]), (right, "top1", RUN_COLOURS[4])):
        values = np.stack([scored[name].seeds[f"{path}.mean"] for name in betas.values()], axis=1)
        mean, error = over_seeds(values)
        on.errorbar(range(len(labels)), mean, error, fmt="o-", color=colour)
        on.tick_params(axis="y", colors=colour)
    axes.set_xticks(range(len(labels)), labels)
    axes.set(xlabel="β", yscale="log")
    axes.set_ylabel("bits of the code", color=RUN_COLOURS[1])
    right.set(ylim=(0, 1))
    right.set_ylabel("accuracy", color=RUN_COLOURS[4])


def _draw_runs(axes: Axes, scored: Mapping[str, Scored]) -> None:
    """A point a run and seed."""
    for i, (name, each) in enumerate(scored.items()):
        if "mask.iou.mean" in each.seeds:
            x, y = each.seeds["mask.iou.mean"], each.seeds["top1.mean"]
            marker = "os^Dv*"[i // len(RUN_COLOURS) % 6]
            colour = RUN_COLOURS[i % len(RUN_COLOURS)]
            axes.scatter(x, y, s=22, label=show(name), marker=marker, color=colour)
    chance = next(iter(scored.values())).seeds["chance.mean"].mean()
    axes.axvline(chance, color=PRIOR_COLOUR, linewidth=1, dashes=(2, 3))
    axes.set(xlabel="IoU of the mask with the object", ylabel="accuracy", ylim=(0, 1))
    axes.legend(fontsize=7)


def read_curves(run: Run, examples: Path) -> dict[str, tuple[Curve, Float[np.ndarray, "s x"]]]:
    """Of each way and order the shares, and accuracy there, a row a seed."""
    keys = ("shares", *CURVES.values())
    files = [examples / f"{run.name}-{seed}.npz" for seed in run.seeds]
    found = [read_arrays(path, keys=keys, stage=STAGE) for path in files]
    return {
        key: (found[0]["shares"], np.stack([each[key] for each in found]))
        for key in CURVES.values()
    }
