"""Draw pictures whose classes differ in a part, with players who paint it, in ClickMe's layouts.

    python src/make_painted_scenes.py NAME OUT

NAME is a row of `make_painted_scenes` in params.yaml. OUT gets

    imagenet/{train,test}/<class>/*.JPEG        one object; ImageNet's folders
    objects/, parts/                            its mask, and that of the part that tells the class
    bottom_up/                                  contrast and centre of each picture
    clickme1/{train,test}/*.tfrecords           maps as ClickMe was first published
    clickme2/{train,test}.csv, .npz             clicks as ClickMe 2.0 has them
    README.txt                                  what this is and how it is made

The background tells the class of training pictures with the chance `shortcut`, that of test
pictures never. The same row gives the same bytes again, with any number of workers.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.scenes.looks import Looks
from attnlabels.scenes.observers import Number, Share
from attnlabels.scenes.painted_layouts import painted, readme, write_split
from attnlabels.scenes.players import Crowd, draw_players
from attnlabels.scenes.scenes import scene_rng
from attnlabels.scenes.splits import mapping


@record
class MakePaintedScenes(Looks):
    n_train: Number
    n_test: Number
    part_size: Share
    painted: Share
    crowd: Crowd


def main(name: str, out: Path) -> None:
    p = load(MakePaintedScenes, "make_painted_scenes", name)
    p.require_equal_classes(f"make_painted_scenes.{name}", "n_train", "n_test")
    style = p.style(occlusion=0.0)
    draw = partial(
        painted,
        seed=p.seed,
        n_classes=p.n_classes,
        size=p.size,
        part_size=p.part_size,
        crowd=p.crowd,
        who=draw_players(scene_rng(p.seed, "players", index=0), p.crowd),
    )
    trained = partial(draw, style=style)
    tested = partial(draw, style=replace(style, shortcut=0.0))
    with replacing_folder(out) as folder, mapping(p.workers) as drawn:
        folder.mkdir()
        write_split(folder, "train", drawn(trained, "train", p.n_train), share=p.painted)
        write_split(folder, "test", drawn(tested, "test", p.n_test), share=p.painted)
        (folder / "README.txt").write_text(readme(name, n_classes=p.n_classes))


if __name__ == "__main__":
    run(main)
