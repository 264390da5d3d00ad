"""`thaw compare`: recipes and seeds, shown live, and one comparison of them."""

import re
from pathlib import Path

import typer
from rich.table import Column

from thaw.flows.commands.console import plain_table, result_console
from thaw.flows.commands.home import prepare_home
from thaw.flows.commands.start_prefect import start_prefect
from thaw.flows.comparison_result import ComparisonResult
from thaw.flows.server_errors import server_errors
from thaw.flows.status import shown
from thaw.pipeline_config.errors import RecipeError, RequestError
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.progress import belongs_to, say

_SEED_LIMIT = 2**31  # the recipe's own
_SEED = re.compile("[0-9]{1,10}")


def compare(
    recipes: list[Recipe], seeds: list[int], home: Path | None, output: Path | None, workers: int, *, as_json: bool
) -> None:
    """Run the recipes with each seed and print how they compare.

    Raises:
        RecipeError: Two recipes have one name.
    """
    names = [recipe.name for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(
                f"{names.count(name)} of the recipes have the name {name}, expected different names. "
                "Change `name` in one of them."
            )
    folder = prepare_home(home).path
    place = None if output is None else output.expanduser().absolute()
    belongs_to(recipe=", ".join(names))
    with shown() as bars:
        say(f"comparing {', '.join(names)}; seeds {', '.join(map(str, seeds))}; home {folder}")
        interruption = start_prefect(folder)

        from thaw.flows.compare import compare_recipes

        with bars, interruption.in_flow(compare_recipes), server_errors():
            result = compare_recipes(recipes, seeds, folder, place, workers)
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        print_comparison(result)


def parse_seeds(text: str) -> list[int]:
    """Read whole numbers with commas between them.

    Raises:
        RequestError: It is no such list, or a seed stands in it twice.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(_SEED.fullmatch(word) and int(word) < _SEED_LIMIT for word in words):
        raise RequestError(
            f"--seeds is {received(text)}, expected whole numbers from 0 to {_SEED_LIMIT - 1}, such as 0,1,2."
        )
    seeds = [int(word) for word in words]
    if len(set(seeds)) != len(seeds):
        raise RequestError(
            f"--seeds is {received(text)}, expected each seed once: a seed that is used twice adds nothing."
        )
    return seeds


def print_comparison(result: ComparisonResult) -> None:
    """Print a comparison, and where it is."""
    from thaw.tasks.experiments.tables import word_tables

    console = result_console()
    for words in word_tables(result):
        columns = [Column(name, no_wrap=not number) for number, name in enumerate(words.columns)]  # the recipe's whole
        table = plain_table(*columns)
        for row in words.rows:
            table.add_row(*row)
        console.print(words.title, soft_wrap=True)
        console.print(table)
        console.print()
    console.print(f"tables and picture: {result.folder}", soft_wrap=True)
