import numpy as np

from attnlabels.scenes.observers import Eye, Mixture
from attnlabels.scenes.scenes import Style
from attnlabels.scenes.tasks import parts_seen
from scenery import BUSY

STYLE = Style(**BUSY | {"object_size": (0.5, 0.6)})

EYE = Eye(
    attention=Mixture(object_weight=1.0, contrast_weight=0.0, centre_weight=0.0, centre_sigma=0.25),
    n_observers=4,
    n_fixations=8.0,
    interest_sd=0.0,
    error_px=0.0,
)


def seen(index: int, **chances: float):
    return parts_seen(
        index,
        split="train",
        seed=0,
        n_classes=4,
        size=40,
        part_size=0.4,
        style=STYLE,
        eye=EYE,
        chances=chances,
    )


def on_part(found, name: str) -> float:
    """The share of looks that are on the part or beside it."""
    points = np.concatenate(found.trails[name]) - 1
    near = found.scene.part > 0
    for _ in range(4):  # the object's blur
        near[1:] |= near[:-1]
        near[:-1] |= near[1:]
        near[:, 1:] |= near[:, :-1]
        near[:, :-1] |= near[:, 1:]
    return near[points[:, 0], points[:, 1]].mean()


def test_who_always_looks_at_the_part_and_who_never_does_see_one_scene():
    found = seen(3, always=1.0, never=0.0)
    assert found.scene.label == 3
    assert on_part(found, "always") > 0.9 > on_part(found, "never")


def test_half_is_either_image_by_image_and_in_between_over_all():
    shares = [seen(i, always=1.0, half=0.5, never=0.0).trails for i in range(20)]
    alike = [np.array_equal(each["half"][0], each["always"][0]) for each in shares]
    assert all(
        same or np.array_equal(each["half"][0], each["never"][0])
        for same, each in zip(alike, shares)
    )
    assert 4 < sum(alike) < 16
