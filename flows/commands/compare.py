"""`thaw compare`: recipes and seeds, shown live, and one comparison of them."""

from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Column, Table

from thaw.flows.commands.console import result_console
from thaw.flows.commands.home import prepare_home
from thaw.flows.commands.live import LiveProgress
from thaw.flows.commands.start_prefect import start_prefect
from thaw.flows.comparison_result import ComparisonResult
from thaw.pipeline_config.errors import RecipeError, RequestError
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.progress import subscribed

_SEED_LIMIT = 2**31  # the recipe's own


@dataclass(frozen=True)
class ComparisonRequest:
    """The options of `thaw compare`.

    Attributes:
        recipe_names: Names or files of recipes.
        seeds: Numbers with commas between them.
        overrides: KEY=VALUE strings, for every recipe.
        data: A folder that takes the place of every recipe's source.
        weights: A file that takes the place of every recipe's weights.
        home: `--home`, if it was given.
        output: `--output`, if it was given.
        workers: How many runs may go on at a time.
    """

    recipe_names: tuple[str, ...]
    seeds: str
    overrides: tuple[str, ...]
    data: Path | None
    weights: Path | None
    home: Path | None
    output: Path | None
    workers: int

    def load_recipes(self) -> list[Recipe]:
        """Load the recipes as they are asked for.

        Returns:
            The recipes.

        Raises:
            RecipeError: One, or an override, is wrong, or two have one name.
        """
        loaded = [load_recipe(name, self.overrides, data=self.data, weights=self.weights) for name in self.recipe_names]
        names = [recipe.name for recipe in loaded]
        for name in names:
            if names.count(name) > 1:
                raise RecipeError(
                    f"{names.count(name)} of the recipes have the name {name}, expected different names. "
                    "Change `name` in one of them."
                )
        return loaded


def compare(request: ComparisonRequest, *, as_json: bool) -> None:
    """Run the recipes with each seed and print how they compare.

    Args:
        request: Which recipes and seeds.
        as_json: Print one JSON document instead of tables.

    Raises:
        ThawError: The request was wrong, or a run failed.
    """
    recipes, seeds = request.load_recipes(), parse_seeds(request.seeds)
    home = prepare_home(request.home)
    console = Console(stderr=True, highlight=False)
    names = ", ".join(recipe.name for recipe in recipes)
    console.print(f"thaw: comparing {names}; seeds {', '.join(map(str, seeds))}; home {home.path}", soft_wrap=True)
    interruption = start_prefect(home.path, console)

    from thaw.flows.compare import compare_recipes

    compare_recipes.on_running(interruption.take_over)
    output = None if request.output is None else request.output.expanduser().absolute()
    with LiveProgress(console) as live, subscribed(live):
        result = compare_recipes(recipes, seeds, home.path, output, request.workers)
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        print_comparison(result)


def parse_seeds(text: str) -> list[int]:
    """Read a list of seeds.

    Args:
        text: Whole numbers with commas between them.

    Returns:
        The seeds, in the order given.

    Raises:
        RequestError: It is no such list, or a seed stands in it twice.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) < _SEED_LIMIT for word in words):
        raise RequestError(f"--seeds is {text!r}, expected whole numbers from 0 to {_SEED_LIMIT - 1}, such as 0,1,2.")
    seeds = [int(word) for word in words]
    if len(set(seeds)) != len(seeds):
        raise RequestError(f"--seeds is {text!r}, expected each seed once: a seed that is used twice adds nothing.")
    return seeds


def print_comparison(result: ComparisonResult) -> None:
    """Print a comparison, and where it is.

    Args:
        result: The comparison.
    """
    from thaw.tasks.experiments.tables import word_tables

    console = result_console()
    for words in word_tables(result):
        columns = [Column(name, no_wrap=not number) for number, name in enumerate(words.columns)]  # the recipe's whole
        table = Table(*columns, box=None, pad_edge=False)
        for row in words.rows:
            table.add_row(*row)
        console.print(words.title, soft_wrap=True)
        console.print(table)
        console.print()
    console.print(f"tables and picture: {result.folder}", soft_wrap=True)
