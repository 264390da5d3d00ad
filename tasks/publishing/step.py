"""The request for a release, and what its key is made of."""

from typing import Any, ClassVar

from thaw.pipeline_config.errors import PublishError, RequestError
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
from thaw.tasks.artifacts.step import Facts, Step
from thaw.tasks.home import Home
from thaw.tasks.process import Work
from thaw.tasks.publishing.portable_recipe import portable_recipe
from thaw.tasks.releases.release import read_verdict
from thaw.tasks.releases.verdict import Outcome


class ReleaseFacts(Facts):
    """Which release was made, with which verdict."""

    id: str
    verdict: Outcome


class PublishStep(Step):
    """Make a release artifact: all files of a release, signed off in `SHA256SUMS`.

    A stage's model is released, with the files of its evaluation, verdict and report; the other inputs are for what the
    card says.
    `recipe` is resolved, and `written` is what was written of it; `started_from` names the release whose weights
    training started from, if any.
    """

    kind: ClassVar[str] = "release"
    work: ClassVar[str] = "thaw.tasks.publishing.work:write_release"
    facts: ClassVar[type[Facts]] = ReleaseFacts
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras")

    recipe: Recipe
    written: dict[str, Any]
    stage: StageName
    started_from: str | None = None
    dataset: ArtifactRef
    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    calibration: ArtifactRef
    evaluation: ArtifactRef
    verdict: ArtifactRef
    report: ArtifactRef

    def took_effect(self, home: Home, ref: ArtifactRef) -> bool:
        """Say whether the release is there and whole, and became the champion if it is due to."""
        registry, release = home.registry, home.store.facts(ref, ReleaseFacts).id
        try:
            registry.verify(release)
            info = registry.get(release)
            standing, promote = registry.standing(info), read_verdict(info.path).promote
        except (RequestError, PublishError):
            return False
        return standing == "settled" or (standing == "new" and not promote)

    def depends_on(self) -> dict[str, Any]:
        """All fields; of the recipe, what does not belong to the machine or to the schedule."""
        document = super().depends_on()
        document["recipe"] = portable_recipe(self.recipe, resolved=True)
        document["written"] = digest_of(self.written)
        return document


class PublishWork(Work):
    """What the child process gets."""

    step: PublishStep
