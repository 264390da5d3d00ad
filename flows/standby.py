"""What is done for recipes that are served or deployed, besides their runs."""

from collections.abc import Sequence
from pathlib import Path

from thaw.flows.automations import set_up
from thaw.flows.notification_blocks import notification_blocks
from thaw.flows.watching import start_watching
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.settings import Settings
from thaw.tasks.home import Home
from thaw.tasks.progress import say


def set_up_automations(recipes: Sequence[Recipe]) -> None:
    """Let the server do by itself what it is to do for recipes.

    Raises:
        RequestError: Somebody whom `THAW_NOTIFY` names cannot be told.
    """
    places = Settings().notify
    for recipe in recipes:
        set_up(recipe, notification_blocks(recipe.name, places))


def stand_by(recipes: Sequence[Recipe], home: Path) -> None:
    """Do so, and watch the images of those that ask for it, to the end of this process."""
    set_up_automations(recipes)
    for recipe in recipes:
        if "folder" in recipe.retrain.on:
            start_watching(recipe, Home.open(home))
            say(f"watching the images of {recipe.name}")
