"""Experiments of rapid categorisation."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import typer

from attnlabels.commands.options import Host, JoinCode, OpenPage, Port, RootPath, ServerNames
from attnlabels.pipeline.printable import printable

app = typer.Typer(
    no_args_is_help=True,
    help="Rapid categorisation: which maps reveal what people, or networks, need to see.",
)


class Control(str, Enum):
    """What `experiment make` reveals beside the maps; typer takes no list of a Literal."""

    DISTANCE = "distance"
    RANDOM = "random"
    OTHER_IMAGE = "other_image"


@app.command("make")
def make_experiment_(
    maps: Annotated[
        list[str],
        typer.Argument(
            metavar="MAPS...",
            help="Folders of maps, each FOLDER or NAME=FOLDER: PNGs named as the images are, or "
            "shards.",
        ),
    ],
    images: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The images, in a folder for each class.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="What to write: the stimuli (PNG), and stimuli.csv. It may not be there yet, or "
            "has to be empty.",
        ),
    ],
    least: Annotated[
        float,
        typer.Option(min=1e-4, max=0.5, metavar="SHARE", help="Of the pixels, the least revealed."),
    ] = 0.01,
    levels: Annotated[
        int,
        typer.Option(
            min=2, metavar="N", help="From it to the whole image, in steps of the logarithm."
        ),
    ] = 9,
    blank: Annotated[
        bool, typer.Option(help="Also reveal nothing, by which one sees what else tells the class.")
    ] = True,
    per_class: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Images of each class, drawn.  [default: all]"),
    ] = None,
    practice: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Further images of each class, to practise with."),
    ] = 0,
    side: Annotated[
        int | None,
        typer.Option(
            min=8, metavar="PX", help="Shorter side of the stimuli.  [default: as the images are]"
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0, help="How much faster a region grows where its map is high.")
    ] = 6.0,
    noise: Annotated[float, typer.Option(min=0, help="How irregularly it grows.")] = 0.5,
    background: Annotated[
        Literal["own", "other", "grey"],
        typer.Option(help="Its own phases scrambled, which keeps its hue; another image's; grey."),
    ] = "own",
    control: Annotated[
        list[Control] | None,
        typer.Option(
            help="Say it for each. distance: around the first map's peak; random: around a random "
            "pixel; other_image: by the first map of another image."
        ),
    ] = None,
    assignment: Annotated[
        Literal["between", "within"],
        typer.Option(help="Map types between participants, a group for each, or within them."),
    ] = "between",
    missing: Annotated[
        Literal["stop", "skip"], typer.Option(help="At an image without a map; skip: take another.")
    ] = "stop",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of all that is random.")] = 0,
) -> None:
    """Make an experiment: images of which maps reveal more and more.

    Of each image, regions that grow along its map from the highest place, moved to the middle, and
    of all maps with the same numbers of pixels. A participant sees the rows of one set of
    stimuli.csv: each image once; levels and map types go round by Latin square.

    \b
    attnlabels label photos --out maps --as files
    attnlabels experiment make teacher=maps masks=outlines --images photos --out experiment \\
        --control distance --control random --background other
    """
    from attnlabels import Making, make_experiment
    from attnlabels.psychophysics.maps import named_maps
    from attnlabels.psychophysics.stimuli import log_shares

    try:
        folders = named_maps(maps)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="MAPS") from error
    making = Making(
        shares=[*([0.0] if blank else []), *log_shares(least, levels)],
        per_class=per_class,
        side=side,
        alpha=alpha,
        noise=noise,
        background=background,
        controls=[each.value for each in control or []],
        assignment=assignment,
        missing=missing,
        seed=seed,
        practice=practice,
    )
    made = make_experiment(folders, images, out, making=making)
    print(f"{out}:", ", ".join(f"{count} {key}" for key, count in made.items()))


@app.command("start")
def start_experiment_(
    made: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT", help="The folder that `experiment make` wrote.")
    ],
    results: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="What is answered. Made if it is not there, else gone on with."
        ),
    ],
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of new results: times, keys, blocks (YAML), those of the paper where it says "
            "nothing.  [default: the paper's]",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8643,
    open_: OpenPage = True,
    join_code: JoinCode = None,
    name: ServerNames = None,
    root_path: RootPath = "",
) -> None:
    """Show an experiment to people in a browser, and keep what they answer.

    Each picture is shown for a counted number of frames, and when it came and went is kept. The
    next participant takes the set that fewest had. All is kept on this machine, in FOLDER, beside
    the settings, the sentences and the text to agree to; that one is an example and no ethics
    approval. Nothing answered is lost when the server is stopped, however that is.

    \b
    attnlabels experiment start experiment --results results
    attnlabels experiment start experiment --results results --host 0.0.0.0 --join-code lab7
    attnlabels experiment analyse results --out tables
    """
    from attnlabels.serving.extra import require_server

    require_server()
    from attnlabels import Listening, start_experiment

    start_experiment(
        made,
        results,
        settings=settings,
        at=Listening(
            host=host,
            port=port,
            opening=open_,
            join_code=join_code,
            names=name or [],
            root_path=root_path.rstrip("/"),
        ),
    )


@app.command("export")
def export_experiment_(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of `experiment start`.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The table to write (CSV).")],
) -> None:
    """Write what people answered as a table, a trial a row, with the times of its showing.

    `experiment analyse` reads it, as it reads RESULTS itself.

    \b
    attnlabels experiment export results --out trials.csv
    """
    from attnlabels import export_experiment

    print(f"{out}: {export_experiment(results, out)} trials")


@app.command("analyse")
def analyse_experiment_(
    trials: Annotated[
        Path,
        typer.Argument(
            metavar="TRIALS",
            help="The results of `experiment start`, a folder; or a table (CSV), an answer a row: "
            "participant,image,class,map_type,share,response[,rt_ms][,mark][,finished].",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="What to write: tables, report.json, curves.png.")
    ],
    accuracy: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="At which thresholds are.")
    ] = 0.75,
    guess: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Chance of a guess.  [default: 1 / classes]"
        ),
    ] = None,
    most_lapses: Annotated[
        float, typer.Option(min=0, max=0.5, metavar="SHARE", help="Largest share of lapses.")
    ] = 0.1,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ONE=OTHER", help="Map types to test; say it for each.  [default: all pairs]"
        ),
    ] = None,
    fastest: Annotated[
        float, typer.Option(min=0, metavar="MS", help="An answer before that counts as none.")
    ] = 20.0,
    whole_accuracy: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Who has no more on whole images is left out."
        ),
    ] = 0.5,
    unanswered_sd: Annotated[
        float,
        typer.Option(
            min=0, metavar="SD", help="And who left so many sd more than the mean unanswered."
        ),
    ] = 3.0,
    blank_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="And who has more where nothing is revealed."
        ),
    ] = None,
    marked: Annotated[
        Literal["drop", "keep"],
        typer.Option(help="Trials with a mark, such as those that were late by more than a frame."),
    ] = "drop",
    unfinished: Annotated[
        Literal["drop", "keep"], typer.Option(help="Who left before the end.")
    ] = "drop",
    permutations: Annotated[
        int, typer.Option(min=1000, metavar="N", help="Of the tests at each level.")
    ] = 10_000,
    resamples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of participants, for intervals.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of both.")] = 0,
) -> None:
    """Analyse an experiment: accuracy by map type and share revealed, thresholds, tests.

    Standard errors and tests are over participants, thresholds of a logistic function with lapses.
    Which map type's participants need fewer pixels is in thresholds.md.

    \b
    attnlabels experiment analyse results --out tables --pair teacher=distance
    attnlabels experiment analyse trials.csv --out tables --unanswered-sd 2
    """
    from attnlabels import Analysing, Rules, analyse_experiment
    from attnlabels.psychophysics.analysis import describe_leak

    pairs = [each.partition("=") for each in pair or []]
    for one, separator, other in pairs:
        if not (one and separator and other):
            raise typer.BadParameter(
                f"{one}{separator}{other!r}: expected ONE=OTHER", param_hint="--pair"
            )
    rules = Rules(
        fastest_ms=fastest,
        whole_accuracy=whole_accuracy,
        unanswered_sd=unanswered_sd,
        blank_accuracy=blank_accuracy,
        marked=marked,
        unfinished=unfinished,
    )
    analysing = Analysing(
        rules=rules,
        accuracy=accuracy,
        guess=guess,
        most_lapses=most_lapses,
        pairs=[(one, other) for one, _, other in pairs] or None,
        permutations=permutations,
        resamples=resamples,
        seed=seed,
    )
    found = analyse_experiment(trials, out, analysing=analysing)
    for who, why in found.kept.excluded.items():
        print(printable(f"left out: {who}: {why}"))
    if found.kept.marked:
        print(f"left out: {found.kept.marked} trials that were marked")
    for name, row in found.tables["thresholds"].items():
        share = row["share"]
        told = share if isinstance(share, str) else f"{share:.2%} of the pixels"
        print(printable(f"{name}: accuracy {accuracy:g} at {told}"))
    if leak := describe_leak(found):
        print(leak)
