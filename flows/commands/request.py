"""What `thaw run` and `thaw plan` are both asked: which recipe, with what changed, and what not to take on trust."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from thaw.flows.graph import TaskName, with_all_after
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.home import Home


@dataclass(frozen=True)
class RunRequest:
    """The options of a command that runs a recipe, or says what a run would do.

    Attributes:
        recipe_name: Name or file of a recipe.
        overrides: KEY=VALUE strings.
        data: A folder that takes the place of the recipe's source.
        weights: A file that takes the place of the recipe's weights.
        home: `--home`, if it was given.
        refresh: Names of tasks that are to run again, with all that depends on them.
        verify: Whether every file is read again, also those that did not change since they were last read.
    """

    recipe_name: str
    overrides: tuple[str, ...]
    data: Path | None
    weights: Path | None
    home: Path | None
    refresh: tuple[str, ...]
    verify: bool

    def load_recipe(self) -> Recipe:
        """Load the recipe as it is asked for.

        Returns:
            The recipe.

        Raises:
            RecipeError: It, or an override, is wrong.
        """
        return load_recipe(self.recipe_name, self.overrides, data=self.data, weights=self.weights)

    def tasks_to_refresh(self) -> Collection[TaskName]:
        """List the tasks that are to run again.

        Returns:
            Those that are asked for, and all that depend on them.

        Raises:
            RequestError: There is no such task.
        """
        return with_all_after(self.refresh)

    def prepare_digests(self, home: Home) -> None:
        """Before anything is looked up: forget the digests of files, if they are not to be trusted.

        Args:
            home: The home folder.

        Raises:
            ArtifactError: They cannot be forgotten.
        """
        if self.verify:
            home.digests.forget()
