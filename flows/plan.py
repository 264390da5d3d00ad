"""What a run would do, without doing it: for each task, whether it is cached, and if not, why. No Prefect."""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from thaw.flows import steps
from thaw.pipeline_config.errors import PublishError
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.differences import explain, most_similar
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.publishing.step import PublishStep
from thaw.tasks.training.features.choice import possible_views
from thaw.tasks.training.features.step import FeaturesStep


class PlannedTask(BaseModel):
    """One task of a plan.

    Attributes:
        name: The task's name.
        cached: Whether its artifact is there, whole.
        reasons: Why it would run, one line each; empty if it is cached.
        digest: The artifact's digest, if it is cached.
    """

    name: str
    cached: bool
    reasons: list[str]
    digest: str | None = None


class Planner:
    """Goes through a recipe's steps for as long as their inputs are there."""

    def __init__(self, home: Path, refresh: Collection[str]) -> None:
        """Plan for a home folder, in which nothing is changed but the memory of the digests of files.

        Args:
            home: The home folder.
            refresh: Names of tasks that are to run again although they are cached.
        """
        self._home = home
        self._refresh = refresh
        self._store = ArtifactStore(home)
        self._features: set[str] = set()  # keys of those that stand in the plan; one may be for both stages
        self.tasks: list[PlannedTask] = []
        self.last_key: str | None = None

    def look_up(self, name: str, make_step: Callable[..., Step], **inputs: ArtifactRef | None) -> ArtifactRef | None:
        """Add a task to the plan.

        Args:
            name: The task's name.
            make_step: Makes the step's request of the inputs.
            **inputs: The artifacts that the step reads; None for one that has yet to be made.

        Returns:
            The task's artifact, if it is cached.
        """
        self.last_key = None
        ref, reasons = self._examine(name, make_step, inputs)
        digest = None if ref is None else ref.digest
        self.tasks.append(PlannedTask(name=name, cached=ref is not None, reasons=reasons, digest=digest))
        return ref

    def look_up_stage(
        self,
        name: str,
        make_features: Callable[..., FeaturesStep | None],
        make_step: Callable[..., Step],
        *,
        may_need_features: bool,
        **inputs: ArtifactRef | None,
    ) -> ArtifactRef | None:
        """Add a stage to the plan, and before it its features if it would run and needs some.

        Args:
            name: The stage's name.
            make_features: Makes the features' request of the inputs.
            make_step: Makes the stage's request of the inputs and of the features.
            may_need_features: Whether the features stand in the plan before the inputs are there.
            **inputs: The artifacts that the stage reads; None for one that has yet to be made.

        Returns:
            The stage's artifact, if it is cached.
        """
        features_name = name.replace("stage", "features")
        if None in inputs.values():
            if may_need_features:
                missing = self._last_missing()
                reason = f"{missing} would run before it, and decides whether it pays"
                self.tasks.append(PlannedTask(name=features_name, cached=False, reasons=[reason]))
            return self.look_up(name, make_step, **inputs)
        features = make_features(**inputs)
        step = make_step(**inputs, features=features)
        ref, _ = self._store.examine(step.key)
        if features is not None and (ref is None or name in self._refresh) and features.key not in self._features:
            self._features.add(features.key)
            self.look_up(features_name, lambda: features)
        return self.look_up(name, lambda **_: step, **inputs)

    def _last_missing(self) -> str:
        return [task.name for task in self.tasks if not task.cached][-1]

    def _examine(
        self, name: str, make_step: Callable[..., Step], inputs: dict[str, ArtifactRef | None]
    ) -> tuple[ArtifactRef | None, list[str]]:
        if None in inputs.values():
            return None, [f"{self._last_missing()} would run before it"]
        if name in self._refresh:
            return None, ["--refresh asks for it"]
        try:
            step = make_step(**inputs)
        except PublishError as error:  # a damaged champion; the run repairs it before it compares
            return None, [str(error)]
        self.last_key = step.key
        ref, problem = self._store.examine(step.key)
        if ref is not None and not step.in_place(self._home, ref):
            ref, problem = None, "the release is missing, altered, or not yet published"
        if ref is not None:
            return ref, []
        return None, [problem] if problem else self._why(step)

    def _why(self, step: Step) -> list[str]:
        documents = self._store.key_documents(step.kind)
        name = step.key_document["depends_on"].get("name")
        same_task = [document for document in documents if document["depends_on"].get("name") == name]
        nearest = most_similar(same_task, step.key_document)
        return ["it has not run yet"] if nearest is None else explain(nearest, step.key_document)


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        tasks: The tasks in order.
        last_key: The key of the last step; None where its inputs have yet to be made.
    """

    tasks: list[PlannedTask]
    last_key: str | None

    @property
    def up_to_date(self) -> bool:
        """Whether there is nothing to do."""
        return all(task.cached for task in self.tasks)


def plan(recipe: Recipe, home: Path, refresh: Collection[str] = ()) -> Plan:
    """Plan a run.

    Args:
        recipe: What would be done.
        home: The home folder.
        refresh: Names of tasks that are to run again although they are cached, with all that come after them.

    Returns:
        The plan.

    Raises:
        ThawError: The request is wrong.
    """
    planner = Planner(home, refresh)
    look_up = planner.look_up
    dataset = look_up("ingest", lambda: steps.ingest_step(recipe, home))
    records = look_up("records", lambda dataset: steps.records_step(recipe, dataset), dataset=dataset)
    stage_one, stage_two = _plan_stages(planner, recipe, home, records)
    evaluation = look_up(
        "evaluate",
        lambda records, stage_one, stage_two: steps.evaluate_step(recipe, records, stage_one, stage_two),
        records=records,
        stage_one=stage_one,
        stage_two=stage_two,
    )
    verdict = look_up(
        "verdict",
        lambda evaluation: steps.verdict_step(recipe, home, evaluation, repair=False),
        evaluation=evaluation,
    )
    look_up(
        "publish",
        functools.partial(PublishStep, recipe=recipe),
        dataset=dataset,
        records=records,
        stage_one=stage_one,
        stage_two=stage_two,
        evaluation=evaluation,
        verdict=verdict,
    )
    return Plan(planner.tasks, planner.last_key)


def _plan_stages(
    planner: Planner, recipe: Recipe, home: Path, records: ArtifactRef | None
) -> tuple[ArtifactRef | None, ArtifactRef | None]:
    stage_one = planner.look_up_stage(
        "stage_one",
        lambda records: steps.features_one_step(recipe, home, records),
        lambda records, features: steps.stage_one_step(recipe, home, records, features),
        may_need_features=possible_views(recipe.stage_one) > 0,
        records=records,
    )
    stage_two = planner.look_up_stage(
        "stage_two",
        lambda records, stage_one: steps.features_two_step(recipe, home, records, stage_one),
        lambda records, stage_one, features: steps.stage_two_step(recipe, records, stage_one, features),
        may_need_features=possible_views(recipe.stage_two) > 0 and not steps.one_pass_does(recipe),
        records=records,
        stage_one=stage_one,
    )
    return stage_one, stage_two
