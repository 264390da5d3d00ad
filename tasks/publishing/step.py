"""The request for a release, and what its key is made of."""

from pathlib import Path
from typing import Any, ClassVar

from thaw.pipeline_config.errors import PublishError, RequestError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.process import Work
from thaw.tasks.publishing.portable_recipe import portable_recipe
from thaw.tasks.releases.registry import Registry


class PublishStep(Step):
    """Make a release artifact: all files of a release, signed off in `SHA256SUMS`.

    Attributes:
        recipe: The whole recipe, resolved.
        dataset: The dataset artifact, for the numbers of images.
        records: The records artifact, for its digest.
        stage_one: The first stage, for its facts.
        stage_two: The second stage, whose model is released.
        evaluation: The evaluation, whose files are part of the release.
        verdict: What the comparison with the champion said.
    """

    kind: ClassVar[str] = "release"
    work: ClassVar[str] = "thaw.tasks.publishing.work:write_release"
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras")
    shares_process: ClassVar[bool] = True

    recipe: Recipe
    dataset: ArtifactRef
    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    evaluation: ArtifactRef
    verdict: ArtifactRef

    def in_place(self, home: Path, ref: ArtifactRef) -> bool:
        """Say whether the release is there and whole, and became the champion if it is due to."""
        registry, release = Registry(home), ArtifactStore(home).facts(ref)["id"]
        try:
            registry.verify(release)
            info = registry.get(release)
            standing = registry.standing(info)
        except (RequestError, PublishError):
            return False
        return standing == "settled" or (standing == "new" and info.verdict == "not better")

    def depends_on(self) -> dict[str, Any]:
        """All fields; of the recipe, what does not belong to the machine or to the schedule."""
        document = super().depends_on()
        document["recipe"] = portable_recipe(self.recipe)
        return document


class PublishWork(Work):
    """What the child process gets."""

    step: PublishStep
