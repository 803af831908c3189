"""What every synthetic data set says of its scenes in params.yaml."""

from dataclasses import fields
from typing import Annotated

from pydantic import Field

from attnlabels.pipeline.params import record
from attnlabels.scenes.observers import Amount, Number, Share
from attnlabels.scenes.scenes import SHAPES, Style


@record
class Looks:
    seed: Annotated[int, Field(ge=0)]
    workers: Number
    size: Annotated[int, Field(ge=16)]  # shorter side, pixels
    n_classes: Annotated[int, Field(ge=2, le=len(SHAPES))]
    object_size: tuple[float, float]
    object_spread: Amount
    rotation_sd: Amount
    hue_jitter: Amount
    contrast: Amount
    period: tuple[float, float]
    n_regions: tuple[int, int]
    n_distractors: tuple[int, int]
    shortcut: Share
    noise_sd: Amount

    def style(self, *, occlusion: float) -> Style:
        """The style of these parameters, with ImageNet's textures and hues.

        Raises ValueError for a range that is none.
        """
        knobs = {each.name for each in fields(Style)} & {each.name for each in fields(Looks)}
        given = {name: vars(self)[name] for name in knobs}
        return Style(**given, occlusion=occlusion, texture_shift=0, hue_shift=0.0)

    def require_equal_classes(self, where: str, *keys: str) -> None:
        """Raise ValueError, naming the section `where`, if classes would differ in size."""
        for key in keys:
            n = vars(self)[key]
            if n % self.n_classes:
                raise ValueError(
                    f"params.yaml: {where}.{key} is {n}, expected a multiple of n_classes "
                    f"({self.n_classes}), so that classes are equally large"
                )
