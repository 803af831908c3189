"""A trained teacher as its file holds it: weights, and the geometry of what they learnt."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from attnlabels.models.files import building, load_weights, read_config
from attnlabels.pipeline.params import check, record
from attnlabels.teachers.network import Teacher

Side = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@record
class Geometry:
    """Of `Trained`, as the header of its file has it."""

    image_size: tuple[Side, Side]
    sigma_px: tuple[Length, Length]
    fitted_sigma_px: tuple[Length, Length]


GEOMETRY = tuple(each.name for each in fields(Geometry))


class Trained(NamedTuple):
    """What a teacher's file holds: the network, and the geometry of what it learnt.

    A σ is that of the Gaussian of a fixation, down and across, in pixels of the network's input.
    """

    teacher: Teacher
    image_size: tuple[int, int]  # height and width of the input at which it is scored and labels
    sigma_px: tuple[float, float]  # of the densities it learnt
    fitted_sigma_px: tuple[float, float]  # which finds as many points in its maps as in these


def read_trained(weights: Path) -> Trained:
    """The teacher of a file of weights, in evaluation mode, with what the file says of it.

    Raises ValueError for other weights, and for a teacher whose file does not say all of that.
    """
    config = read_config(weights, "teacher")
    if missing := [key for key in GEOMETRY if key not in config]:
        raise ValueError(
            f"{weights} does not say {' and '.join(missing)} of its teacher: an earlier version "
            "wrote it; train the teacher again"
        )
    told = {key: config[key] for key in GEOMETRY}
    geometry = check(Geometry, told, where=f"{weights}: the config in its header")
    with building(weights):
        teacher = Teacher(**config["teacher"])
    load_weights(weights, teacher)
    return Trained(teacher.eval(), **vars(geometry))
