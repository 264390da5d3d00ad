"""The commands of `thaw`. Nothing heavy is imported before a command needs it, so that `thaw --help` is quick."""

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from thaw.flows.arguments import path, text
from thaw.flows.status import VARIABLE, LogFormat, choose_log_format

app = typer.Typer(
    name="thaw",
    help="Retrain image classifiers in two stages, and publish only what is shown to be better.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
releases = typer.Typer(help="List, show, compare, promote and roll back releases.", no_args_is_help=True)
app.add_typer(releases, name="releases")

notify = typer.Typer(help="Tell Prefect's server what it cannot see.", no_args_is_help=True)
app.add_typer(notify, name="notify")

RecipeArgument = Annotated[
    str, typer.Argument(parser=text, metavar="RECIPE", help="The name of a shipped recipe, or a YAML file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        parser=text,
        metavar="KEY=VALUE",
        help="Change a key of the recipe, e.g. stage_two.epochs=3. Repeatable.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(parser=path, help="A folder of class folders, or of train, validation and test folders of them."),
]
WeightsOption = Annotated[Path | None, typer.Option(parser=path, help="A Keras file with the backbone's weights.")]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        parser=path, help="Folder of artifacts and releases.  [default: THAW_HOME, or .thaw]", show_default=False
    ),
]
RefreshOption = Annotated[
    list[str] | None,
    typer.Option(
        "--refresh", parser=text, metavar="TASK", help="Run a task again, with all that depends on it. Repeatable."
    ),
]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Read every file, also those that did not change since they were last read.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        callback=choose_log_format,
        envvar=VARIABLE,
        show_envvar=False,
        help="How standard error says what goes on: json is one document a line.",
    ),
]
ReasonOption = Annotated[str, typer.Option(parser=text, help="Why; it is kept in the log.")]
IdArgument = Annotated[
    str, typer.Argument(parser=text, metavar="ID", help="A release's id, as `thaw releases list` prints it.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thaw {metadata.version('thaw')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; goes anywhere.")] = False,
) -> None:
    """Retrain image classifiers in two stages, and publish only what is shown to be better."""


@app.command()
def run(
    recipe: RecipeArgument,
    set_: SetOption = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    home: HomeOption = None,
    always: Annotated[bool, typer.Option("--always", help="Start the flow also where everything is cached.")] = False,
    refresh: RefreshOption = None,
    verify: VerifyOption = False,
    log_format: LogFormatOption = "text",
    as_json: JsonOption = False,
) -> None:
    """Run a recipe: ingest, train in two stages, compare with the release in use, and publish."""
    from thaw.flows.commands.run import run_recipe
    from thaw.flows.graph import with_all_after
    from thaw.pipeline_config.loading import load_recipe

    loaded = load_recipe(recipe, tuple(set_ or ()), data=data, weights=weights)
    run_recipe(loaded, with_all_after(refresh or ()), home, verify=verify, always=always, as_json=as_json)


@app.command()
def plan(
    recipe: RecipeArgument,
    set_: SetOption = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    home: HomeOption = None,
    refresh: RefreshOption = None,
    verify: VerifyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what `thaw run` would do: for each task, whether it is cached, and if not, why."""
    from thaw.flows.commands.plan import print_plan
    from thaw.flows.graph import with_all_after
    from thaw.pipeline_config.loading import load_recipe

    loaded = load_recipe(recipe, tuple(set_ or ()), data=data, weights=weights)
    print_plan(loaded, with_all_after(refresh or ()), home, verify=verify, as_json=as_json)


@app.command()
def compare(
    recipes: Annotated[
        list[str], typer.Argument(parser=text, metavar="RECIPE...", help="Names of shipped recipes, or YAML files.")
    ],
    seeds: Annotated[
        str, typer.Option(parser=text, metavar="N,N,...", help="Train each recipe with each of them.")
    ] = "0,1,2",
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Runs that may go on at a time.")] = 1,
    set_: SetOption = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    home: HomeOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Folder for the tables and the picture.  [default: in the home folder]",
            show_default=False,
        ),
    ] = None,
    log_format: LogFormatOption = "text",
    as_json: JsonOption = False,
) -> None:
    """Run recipes with several seeds on the same images, and say whether one is better. Nothing is published."""
    from thaw.flows.commands import compare as command
    from thaw.pipeline_config.loading import load_recipes

    loaded = load_recipes(recipes, tuple(set_ or ()), data=data, weights=weights)
    command.compare(loaded, command.parse_seeds(seeds), home, output, workers, as_json=as_json)


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(parser=path, metavar="PATH...", help="Image files.")],
    release: Annotated[
        str | None, typer.Option(parser=text, metavar="ID", help="A release.  [default: the champion]")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(parser=text, help="Whose champion, where several recipes have one.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify images with a published release."""
    from thaw.flows.commands.predict import predict_images

    predict_images(paths, release_id=release, recipe=recipe, home=home, as_json=as_json)


@app.command()
def doctor(
    recipe: Annotated[
        str | None, typer.Argument(parser=text, metavar="RECIPE", help="Look also at what this recipe needs.")
    ] = None,
    set_: SetOption = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a run can succeed here, and what to do where it cannot: exit code 1."""
    from thaw.flows.commands.doctor import print_findings
    from thaw.pipeline_config.loading import load_recipe

    loaded = None if recipe is None else load_recipe(recipe, tuple(set_ or ()), data=data, weights=weights)
    print_findings(loaded, home, as_json=as_json)


@app.command()
def gc(
    keep_releases: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=1_000_000,
            help="Keep each recipe's last N, besides what is in use or a rollback returns to.",
        ),
    ] = 3,
    older_than: Annotated[
        str, typer.Option(parser=text, metavar="AGE", help="Keep what was made or used since: 45m, 12h, 30d, 2w.")
    ] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what no kept release, champion or recent run refers to, and say what that frees."""
    from thaw.flows.commands.gc import collect

    collect(home, keep_releases=keep_releases, older_than=older_than, dry_run=dry_run, as_json=as_json)


@app.command()
def serve(
    recipes: Annotated[
        list[str], typer.Argument(parser=text, metavar="RECIPE...", help="Without a schedule: on demand.")
    ],
    gc: Annotated[
        str | None,
        typer.Option(parser=text, metavar="CRON", help="Clean up at these times, as thaw gc does: '0 4 * * *'."),
    ] = None,
    set_: SetOption = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    home: HomeOption = None,
    log_format: LogFormatOption = "text",
) -> None:
    """Serve each recipe's deployment: runs by its schedule, and on demand from the Prefect UI."""
    from thaw.flows.commands.serve import serve_recipes

    serve_recipes(recipes, tuple(set_ or ()), clean_up_cron=gc, data=data, weights=weights, home=home)


@app.command()
def deploy(
    recipes: Annotated[
        list[str], typer.Argument(parser=text, metavar="RECIPE...", help="Without a schedule: on demand.")
    ],
    pool: Annotated[str, typer.Option(parser=text, metavar="NAME", help="The work pool, which has to exist.")],
    image: Annotated[
        str | None, typer.Option(parser=text, metavar="NAME", help="The image, where the pool runs containers.")
    ] = None,
    set_: SetOption = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    home: HomeOption = None,
) -> None:
    """Give each recipe's deployment to a work pool of Prefect's: its workers do the runs, here or elsewhere."""
    from thaw.flows.commands.deploy import deploy_recipes

    deploy_recipes(recipes, tuple(set_ or ()), pool=pool, image=image, data=data, weights=weights, home=home)


@app.command()
def logs(
    run: Annotated[
        str | None,
        typer.Argument(
            parser=text, metavar="RUN", help="Prefect's id of the run, or its beginning.  [default: the last run]"
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until the run has ended.")] = False,
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line.")] = False,
) -> None:
    """Print what a run said, as it is kept in the home folder."""
    from thaw.flows.commands.logs import print_log

    print_log(run, home, follow=follow, as_json=as_json)


@app.command()
def recipes() -> None:
    """List the recipes that ship with thaw."""
    from thaw.pipeline_config.loading import recipe_summary, shipped_recipes

    width = max(map(len, shipped_recipes()))
    for name in shipped_recipes():
        typer.echo(f"{name:<{width}}  {recipe_summary(name)}")


@releases.command("list")
def list_releases(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the releases, the newest first."""
    from thaw.flows.commands.releases import print_releases

    print_releases(home, as_json=as_json)


@releases.command()
def show(release: IdArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show a release: its metrics, its verdict, and what it was made from."""
    from thaw.flows.commands.releases import print_release

    print_release(release, home, as_json=as_json)


@releases.command()
def diff(
    other: Annotated[str, typer.Argument(parser=text, metavar="A", help="The id of a release.")],
    judged: Annotated[
        str, typer.Argument(parser=text, metavar="B", help="That of the one to judge, on its own test images.")
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether release B is better than release A, and on which images they differ."""
    from thaw.flows.commands.releases import print_difference

    print_difference(judged, other, home, as_json=as_json)


@releases.command()
def promote(release: IdArgument, reason: ReasonOption, home: HomeOption = None) -> None:
    """Make a release the champion of its recipe."""
    from thaw.flows.commands.home import open_home

    promoted = open_home(home).registry.promote(release, reason)
    typer.echo(f"{promoted.id} is now the champion of {promoted.recipe}.")


@releases.command()
def rollback(
    reason: ReasonOption,
    recipe: Annotated[
        str | None, typer.Option(parser=text, help="Which recipe's champion, where there are several.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Go back to the champion before the present one."""
    from thaw.flows.commands.home import open_home

    restored = open_home(home).registry.rollback(recipe, reason)
    typer.echo(f"{restored.id} is the champion of {restored.recipe} again.")


@notify.command()
def dataset(recipe: RecipeArgument) -> None:
    """Say that a recipe's images have changed, so that its deployment starts a run: the event thaw.dataset.changed."""
    from thaw.flows.commands.notify import notify_dataset
    from thaw.pipeline_config.loading import load_recipe

    notify_dataset(load_recipe(recipe).name)


if __name__ == "__main__":
    from thaw.flows.main import main

    main()
