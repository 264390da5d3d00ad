"""What a recipe says of a stage that only its data can show to be wrong: checked before the work begins. No TensorFlow.

What only the network can show, such as the name of a layer, is checked where that is first built (`start.build_start`).
"""

from collections.abc import Iterable, Sequence

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.pipeline_config.strict import nearest_hint
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home

_LISTED_CLASSES = 5  # more would hide the rest of the line


def check_against_dataset(recipe: Recipe, home: Home, dataset: ArtifactRef) -> None:
    """Refuse a recipe that speaks of classes which a dataset, which the store has, does not have."""
    stages = {"stage_one": recipe.stage_one, "stage_two": recipe.stage_two}
    floors = recipe.publish.floors.recall
    if floors or any(isinstance(stage.class_weights, dict) for stage in stages.values()):
        from thaw.tasks.ingest.dataset import read_classes  # imports pyarrow, which no plan should wait for

        classes = read_classes(home.store.folder(dataset))
        for name, stage in stages.items():
            check_class_weights(name, stage, classes)
        _check_classes("publish.floors.recall", floors, classes)


def check_class_weights(name: str, stage: StageConfig, classes: Sequence[str]) -> None:
    """Refuse weights of classes that are not there.

    Raises:
        RecipeError: There are such.
    """
    if isinstance(stage.class_weights, dict):
        _check_classes(f"{name}.class_weights", stage.class_weights, classes)


def _check_classes(key: str, named: Iterable[str], classes: Sequence[str]) -> None:
    for unknown in sorted(set(named) - set(classes)):
        listed = ", ".join(classes[:_LISTED_CLASSES]) + (", …" if len(classes) > _LISTED_CLASSES else "")
        hint = nearest_hint(unknown, classes)
        raise RecipeError(f"{key}: there is no class {unknown!r}. Expected some of {listed}.{hint}")
