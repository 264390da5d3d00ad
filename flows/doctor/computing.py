"""What the process of a step finds: TensorFlow, its devices, and what the recipe's formats need. In a child process."""

from collections.abc import Iterator

from thaw.flows.doctor.base import Check, Finding, Here
from thaw.pipeline_config.errors import RecipeError, ThawError
from thaw.tasks.children import run_in_child
from thaw.tasks.formats.look_request import Look, Seen

_WORK = "thaw.tasks.formats.look:look_around"
_DEADLINE_SECONDS = 120.0  # a first import from a slow disk takes half a minute


class Computing(Check):
    """Starts a process, and asks it."""

    name = "computing"

    def examine(self, here: Here) -> Iterator[Finding]:
        """Import TensorFlow in a process of its own."""
        recipe = here.recipe
        look = Look() if recipe is None else Look(devices=recipe.devices, formats=recipe.publish.formats)
        try:
            made = run_in_child(_WORK, look, deadline_seconds=_DEADLINE_SECONDS, listener=lambda *_: None)
        except RecipeError as error:
            yield Finding(
                level="error", text=str(error), remedy="Change devices in the recipe, or use --set devices=cpu."
            )
        except ThawError as error:
            remedy = "Install thaw anew, in an environment of its own: make setup, or pip install."
            yield Finding(level="error", text=f"The process of a step cannot work here: {error}", remedy=remedy)
        else:
            yield from findings(Seen.model_validate(made.facts))


def findings(seen: Seen) -> Iterator[Finding]:
    """Say what of it matters."""
    for line in seen.missing:
        text, _, remedy = line.partition(". ")
        yield Finding(level="error", text=f"{text}.", remedy=remedy)
    yield Finding(level="ok", text=f"TensorFlow {seen.tensorflow} computes on {', '.join(seen.devices) or 'the CPU'}")
