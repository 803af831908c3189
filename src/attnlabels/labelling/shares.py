"""What processes that share a labelling agree on: a scratch of their own, who is done, the whole.

Shards are made one by one, each from its own rows of a list. Process r of n makes the shards r,
r + n, ..., and any number of processes the same bytes; a labelling that was killed goes on at the
first shard that is not finished.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnlabels.images.broken import Broken
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.processes.checkpoint import LOCK, Scratch
from attnlabels.processes.world import World, await_files
from attnlabels.shards.kept import clear_unfinished, is_current, link_or_copy, read_kept
from attnlabels.shards.shards import Shard, shard_name, write_index


@contextmanager
def alone_in(scratch: Scratch, world: World) -> Iterator[None]:
    """Keep other runs out of the scratch, which is first rid of what a killed one left behind.

    Raises ValueError if another run is in it, or if the processes do not share it.
    """
    refused = None
    if world.first:
        try:
            scratch.lock()
            clear_unfinished(scratch.folder)
            for rank in scratch.folder.glob("done-*"):
                rank.unlink()
        except (ValueError, OSError) as error:  # all are told: who waits for one that left hangs
            refused = error
    if world.total(refused is not None):
        raise refused or ValueError("process 0 did not begin; its own message says why")
    try:
        world.agree("the labelling", scratch.folder.name)
        if not (scratch.folder / LOCK).is_file():
            raise ValueError(
                f"{scratch.folder} is not where process 0 has it; set ATTNLABELS_SCRATCH to a "
                "folder that all processes reach"
            )
        yield
    finally:
        if world.first:
            scratch.unlock()


def is_finished(path: Path, images: Path, *, broken: Broken) -> bool:
    """Whether an earlier run made this shard; a `broken` image that it left out may be to stop."""
    kept = read_kept(path)
    if kept is None or (kept.skipped and broken == "stop"):
        return False
    return is_current(path, kept, images=images)


def end_share(folder: Path, world: World) -> None:
    """Say that this process's share is done; the first returns once each has said so."""
    said = [folder / f"done-{rank}" for rank in range(world.size)]
    said[world.rank].touch()
    if world.first:
        await_files(said)


def collect(
    folder: Path,
    out: Path,
    names: Sequence[str],
    add: Callable[[Path], None] = lambda folder: None,
    *,
    maps_by: dict[str, Any],
    classes: list[str],
    skipped: Sequence[str] = (),
    replace: bool = True,
) -> None:
    """Make a folder `out` of the shards `names` of `folder`, all finished, with an index.

    A shard whose images were all left out is not put there. `skipped` was left out before. `add`
    puts something else into the folder, whose shards are whole by then. Without `replace` a folder
    that is there is refused, as `attnlabels.pipeline.writing.replacing_folder` does.
    """
    shards: dict[str, Shard] = {}
    left_out = list(skipped)
    with replacing_folder(out, replace=replace) as aside:
        aside.mkdir()
        for name, kept_as in zip(map(shard_name, range(len(names))), names):
            kept = read_kept(folder / kept_as)
            assert kept is not None
            left_out += kept.skipped
            if len(kept.shard.rows):
                link_or_copy(folder / kept_as, aside / name)
                shards[name] = kept.shard
        write_index(aside, shards, maps_by=maps_by, classes=classes, skipped=left_out)
        add(aside)
