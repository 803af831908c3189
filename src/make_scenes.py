"""Draw a synthetic stand-in for every data set, in the layouts in which those are published.

    python src/make_scenes.py NAME OUT

NAME is a row of `make_scenes` in params.yaml. OUT gets

    imagenet/{train,val}/<class>/*.JPEG             one object; ImageNet's folders
    people/fixations_train.json                     mouse attention on imagenet/train
    masks/train/<class>/*.png                       objects of imagenet/train
    salicon/images, salicon/annotations/*.json      mouse attention; SALICON of 2015
    osie/images, osie/eye.json                      eye attention; the same JSON
    cifar-10-batches-py/                            other textures and hues; CIFAR-10's pickles
    README.txt                                      what this is and how it is made

The same row gives the same bytes again, with any number of workers.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.scenes.layouts import (
    CIFAR_BATCHES,
    CIFAR_SIDE,
    readme,
    write_cifar,
    write_imagenet,
    write_osie,
    write_salicon,
    write_watched_imagenet,
)
from attnlabels.scenes.looks import Looks
from attnlabels.scenes.observers import Eye, Mouse, Number, Share
from attnlabels.scenes.scenes import SHAPES, scene_rng
from attnlabels.scenes.splits import (
    by_eye,
    by_mouse,
    classified,
    draw_wide,
    mapping,
    watched,
    watched_again,
)


@record
class MakeScenes(Looks):
    n_train: Number
    n_val: Number
    n_cifar_train: Annotated[int, Field(ge=1, multiple_of=CIFAR_BATCHES * len(SHAPES))]
    n_cifar_test: Annotated[int, Field(ge=1, multiple_of=len(SHAPES))]
    n_attention_train: Number
    n_attention_val: Number
    n_eye: Number
    two_objects: Share
    occlusion: Share
    cifar_texture_shift: int
    cifar_hue_shift: float
    mouse: Mouse
    eye: Eye


def main(name: str, out: Path) -> None:
    p = load(MakeScenes, "make_scenes", name)
    p.require_equal_classes(f"make_scenes.{name}", "n_train", "n_val")
    style = p.style(occlusion=p.occlusion)
    other = replace(style, texture_shift=p.cifar_texture_shift, hue_shift=p.cifar_hue_shift)
    square = partial(classified, seed=p.seed)
    of_imagenet = partial(square, n_classes=p.n_classes, size=p.size, style=style)
    of_cifar = partial(square, n_classes=len(SHAPES), size=CIFAR_SIDE, style=other)
    wide = partial(
        draw_wide, n_classes=p.n_classes, size=p.size, two_objects=p.two_objects, style=style
    )
    mouse, eye = partial(by_mouse, mouse=p.mouse), partial(by_eye, eye=p.eye)
    of_people = partial(watched_again, seed=p.seed, draw=of_imagenet, observe=mouse)
    of_salicon = partial(watched, seed=p.seed, draw=wide, observe=mouse)
    of_osie = partial(watched, seed=p.seed, draw=wide, observe=eye)

    with replacing_folder(out) as folder, mapping(p.workers) as drawn:
        write_watched_imagenet(folder, drawn(of_people, "imagenet train", p.n_train))
        write_imagenet(folder / "imagenet" / "val", drawn(of_imagenet, "imagenet val", p.n_val))
        for split, n in (("train", p.n_attention_train), ("val", p.n_attention_val)):
            write_salicon(folder / "salicon", split, drawn(of_salicon, f"salicon {split}", n))
        durations = scene_rng(p.seed, "durations", index=0)
        write_osie(folder / "osie", drawn(of_osie, "osie", p.n_eye), durations)
        cifar, batch = folder / "cifar-10-batches-py", partial(drawn, of_cifar)
        write_cifar(cifar, batch, n_train=p.n_cifar_train, n_test=p.n_cifar_test)
        (folder / "README.txt").write_text(readme(name))


if __name__ == "__main__":
    run(main)
