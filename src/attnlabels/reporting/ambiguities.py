"""What the paper's text leaves open, and which reading some runs take, by their parameters."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from attnlabels.reporting.provenance import as_words


class Ambiguity(NamedTuple):
    """One of A1 to A16: what is open, the readings there are, and what chooses between them.

    `fixed` is what no parameter chooses. A parameter is a column of a run's row or else shared in
    `train_simclr`, another section's is named with it, and `weights.nss` stands for those terms
    of the loss whose names begin so.
    """

    key: str
    question: str
    readings: str
    parameters: tuple[str, ...] = ()
    fixed: str = ""


AMBIGUITIES = (
    Ambiguity(
        "A1",
        "“the last three blocks”",
        "stages 2 to 4; the last three residual units",
        ("attention_taps",),
    ),
    Ambiguity(
        "A2",
        "“global average pooling”, then the largest channel, of a map",
        "R5: the mean of 3×3, then the largest channel; R1: the channel of the largest mean; "
        "R2: the largest channel; R3: the mean of the channels",
        ("attention_select",),
    ),
    Ambiguity(
        "A3",
        "a map, which is not negative, from a linear readout",
        "spatial softmax; softplus; sigmoid",
        ("attention_output",),
    ),
    Ambiguity(
        "A4",
        "the resolution of the map",
        "a quarter of the image’s; the image’s",
        ("map_size", "image_size"),
    ),
    Ambiguity(
        "A5",
        "the teacher’s output, never below ½ as it is written",
        "a learnt offset; tanh of the half; the sigmoid’s logits; stretched to 0..1; as written",
        ("teacher.output",),
    ),
    Ambiguity(
        "A6",
        "the image “without augmentation”",
        "all of it, resized; a centre crop",
        ("clean_crop",),
    ),
    Ambiguity(
        "A7",
        "batch norm of the clean view",
        "joint with the other views; its own",
        ("joint_batch_norm",),
    ),
    Ambiguity(
        "A8",
        "the attention loss of a batch",
        "means; sums, which are means whose weights are times the batch",
        ("weights", "batch_size"),
        fixed="means",
    ),
    Ambiguity(
        "A9",
        "the deviation in NSS",
        "of the population (nss); unbiased (nss_unbiased)",
        ("weights.nss",),
    ),
    Ambiguity(
        "A10",
        "σ of a pseudo fixation’s Gaussian",
        "that of the densities the teacher learnt (teacher); for as many points as people’s maps "
        "have (fitted)",
        ("label_images.sigma",),
    ),
    Ambiguity(
        "A11",
        "the height of a pseudo fixation’s Gaussian",
        "the peak’s",
        fixed="the peak’s, so that the point becomes zero",
    ),
    Ambiguity(
        "A12",
        "the rate of the attention head",
        "its own, times the network’s",
        ("attention_learning_rate",),
    ),
    Ambiguity(
        "A13",
        "the linear probe",
        "trained beside the encoder; trained on it when it is frozen",
        ("weights.probe", "probe_linear.l2_times_n"),
        fixed="both",
    ),
    Ambiguity("A14", "layers of the projector", "2 (SimCLR v1); 3 (v2)", ("projector_layers",)),
    Ambiguity(
        "A15", "weight decay", "1e-6 (SimCLR’s paper); 1e-4 (its commands)", ("weight_decay",)
    ),
    Ambiguity(
        "A16",
        "the direction of KLD",
        "weighed by the target (kld); by the map (kld_reversed)",
        ("weights.kld",),
    ),
)


def in_force(
    ambiguity: Ambiguity, runs: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]
) -> list[str]:
    """The choices of some runs, one text a parameter and value; `runs` holds rows by label.

    Most runs' value comes first, the others with the runs they are of.

    Raises ValueError for a parameter that is nowhere in `parameters`, nor in any row.
    """
    said = [ambiguity.fixed] if ambiguity.fixed else []
    for path in ambiguity.parameters:
        section, _, key = path.rpartition(".")
        if section and section != "weights":
            if key not in parameters.get(section, {}):
                raise ValueError(f"{ambiguity.key}: no parameter {path}")
            said.append(f"{path}: {as_words(parameters[section][key])}")
            continue
        values = {label: _choice(row, section, key, parameters) for label, row in runs.items()}
        labels: dict[str, list[str]] = {}
        for label, value in values.items():
            if value is not None:
                labels.setdefault(value, []).append(label)
        if not labels and not section:
            raise ValueError(f"{ambiguity.key}: no parameter {path}")
        most = max(labels, key=lambda value: len(labels[value]), default="")
        for value in sorted(labels, key=lambda value: value != most):
            which = "" if value == most else f" ({', '.join(labels[value])})"
            said.append(f"{section or key}: {value}{which}")
    return said


def _choice(
    row: Mapping[str, Any], section: str, key: str, parameters: Mapping[str, Any]
) -> str | None:
    if section:
        terms = {term: value for term, value in row["weights"].items() if term.startswith(key)}
        return as_words(terms) if terms else None
    shared = parameters["train_simclr"]
    if key in row or key in shared:
        return as_words(row[key] if key in row else shared[key])
    return None
