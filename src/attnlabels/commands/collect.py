"""Collecting attention in a browser."""

from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from attnlabels.commands.options import Host, JoinCode, OpenPage, Port, RootPath, ServerNames
from attnlabels.pipeline.printable import printable

app = typer.Typer(
    no_args_is_help=True,
    help="Where people look, or what tells them a class: collected in a browser.",
)


@app.command("start")
def start_collecting_(
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="A folder; the folders in it are classes.")
    ],
    study: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="What is collected. Made if it is not there, else gone on with."
        ),
    ],
    task: Annotated[
        Literal["paint", "peek", "look"] | None,
        typer.Option(
            help="Of a new study. paint what tells the class (ClickMe); peek through discs "
            "(BubbleView); look through the pointer (SALICON).  [default: paint]"
        ),
    ] = None,
    partner: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK",
            help="Guesses what is painted: a classifier (train_supervised's, or timm:NAME with "
            "--weights), or with --probe any encoder that `evaluate` takes.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of the partner timm:NAME.")
    ] = None,
    probe: Annotated[
        Path | None, typer.Option(metavar="NPZ", help="The partner's classifier, of probe_linear.")
    ] = None,
    partner_classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What the partner's classes are called, one a line.  [default: as the study's]",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8642,
    open_: OpenPage = True,
    join_code: JoinCode = None,
    name: ServerNames = None,
    root_path: RootPath = "",
) -> None:
    """Let people play with images in a browser, and keep what they paint, peek at or look at.

    Settings, sentences and the text to agree to are files in FOLDER, to edit before people take
    part. Everything is kept on this machine, in FOLDER/study.sqlite; nothing finished is lost when
    the server is stopped, however that is. The text is an example and no ethics approval.

    \b
    attnlabels collect start photos --study study
    attnlabels collect start photos --study peeking --task peek --host 0.0.0.0 --join-code lab7
    attnlabels collect start photos --study game --partner partner.safetensors
    """
    from attnlabels.serving.extra import require_server

    require_server()
    from attnlabels.collecting.start import start
    from attnlabels.serving.running import Listening

    opening = None
    if partner is not None:
        from attnlabels.collecting.partners import open_partner

        opening = partial(
            open_partner, partner, weights=weights, probe=probe, names=partner_classes
        )
    elif weights or probe or partner_classes:
        raise typer.BadParameter("are a partner's; name it too", param_hint="--weights, --probe")
    start(
        images,
        study,
        task=task,
        partner=opening,
        at=Listening(
            host=host,
            port=port,
            opening=open_,
            join_code=join_code,
            names=name or [],
            root_path=root_path.rstrip("/"),
        ),
    )


class Kind(str, Enum):
    """Which rounds `collect export` takes; typer takes no list of a Literal."""

    PRACTICE = "practice"
    PLAY = "play"
    CATCH = "catch"
    REPEAT = "repeat"


class Pointer(str, Enum):
    """With what people may have pointed."""

    MOUSE = "mouse"
    TOUCH = "touch"
    PEN = "pen"


StudyFolder = Annotated[
    Path, typer.Argument(metavar="STUDY", help="The folder of a study; its server may be running.")
]
StudyImages = Annotated[
    Path, typer.Option(metavar="FOLDER", help="The images that it was made of.")
]


@app.command("export")
def export_study_(
    study: StudyFolder,
    images: StudyImages,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The new folder to write.")],
    as_: Annotated[
        Literal["csv", "salicon", "clickme", "shards", "jspsych"],
        typer.Option("--as", help="What to write: see docs/collect.md."),
    ] = "csv",
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="Which rounds; say it for each.  [default: play, repeat]"),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A participant to leave out; say it for each."),
    ] = None,
    catch: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Least share of catch rounds a player has right."
        ),
    ] = None,
    suspicion: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave out players above it; 0.5 are the report's."),
    ] = None,
    pointer: Annotated[
        list[Pointer] | None, typer.Option(help="That may be used; say it for each.")
    ] = None,
    fastest: Annotated[
        float | None, typer.Option(min=0, metavar="MS", help="Leave out rounds that were shorter.")
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="And those in which the page was hidden more often."),
    ] = None,
    fewest_points: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of a round, or it is left out.")
    ] = 1,
    fewest_players: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of an image, or it is left out.")
    ] = 1,
    again: Annotated[
        bool, typer.Option("--again", help="Keep a player's further rounds of an image, too.")
    ] = False,
    blur: Annotated[
        Literal["box_49", "disc_twice", "harmonization", "none"],
        typer.Option(help="Of the maps of shards, per player."),
    ] = "box_49",
    map_size: Annotated[
        int, typer.Option(min=1, metavar="PX", help="Shorter side of the maps of shards.")
    ] = 56,
) -> None:
    """Export a study: what its players pointed at, in the form that others read.

    FOLDER is written whole or not at all, with a description (Psych-DS) and the images' checksums;
    an image that was changed since is refused. What is left out is counted.

    \b
    attnlabels collect export STUDY --images photos --out points
    attnlabels teacher train points/data/task-paint_data.csv --images photos --out own.safetensors
    attnlabels collect export STUDY --images photos --as shards --suspicion 0.5 --out labels
    """
    from attnlabels import MapDrawing, RoundRules, export_study

    rules = RoundRules(
        kinds=[each.value for each in kind or [Kind.PLAY, Kind.REPEAT]],
        without=without or [],
        catch=catch,
        suspicion=suspicion,
        pointers=[each.value for each in pointer or []],
        fastest_ms=fastest,
        hidden=hidden,
        fewest_points=fewest_points,
        fewest_players=fewest_players,
        first_only=not again,
    )
    drawing = MapDrawing(blur=blur, map_size=map_size)
    chosen = export_study(study, out, images=images, form=as_, rules=rules, drawing=drawing)
    for line in chosen.told():
        print(printable(line))
    print(printable(str(out)))


@app.command("report")
def report_study_(
    study: StudyFolder,
    images: StudyImages,
    out: Annotated[Path, typer.Option(metavar="PAGE.html", help="The page to write.")],
    suspicion: Annotated[
        float, typer.Option(min=0, max=1, help="Above which a player looks wrong.")
    ] = 0.5,
    blur: Annotated[
        Literal["box_49", "disc_twice", "harmonization"], typer.Option(help="Of players' maps.")
    ] = "box_49",
) -> None:
    """Report on a study: one page that needs nothing beside it.

    Who took part and what they did, how far they agree beside chance and the ceiling, maps over
    images, who looks wrong and why, and what leaving them out changes.

    \b
    attnlabels collect report STUDY --images photos --out report.html
    """
    from attnlabels import report_study

    for sentence in report_study(study, out, images=images, suspicion=suspicion, blur=blur):
        print(printable(sentence))
    print(printable(str(out)))
