"""A step makes the same bytes in a new process and in one that other steps have used. Without Prefect."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.child_functions import Words
from tests.support import small_recipe, write_pictures
from tests.test_shared_children import own_children
from thaw.flows import steps
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef, file_sha256
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.children import run_in_child, sharing_children
from thaw.tasks.evaluation.step import EvaluateWork
from thaw.tasks.evaluation.verdict import VerdictWork, write_verdict
from thaw.tasks.ingest.step import IngestWork
from thaw.tasks.process import Work
from thaw.tasks.publishing.step import PublishStep, PublishWork
from thaw.tasks.records.step import RecordsWork
from thaw.tasks.training.step import TrainWork

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> list[Recipe]:
    data = write_pictures(tmp_path_factory.mktemp("pictures") / "data", each=20)
    plain = small_recipe(data)
    # What either leaves behind would show in the other: another precision, other seeds, no determinism.
    average = {"stage_one": plain.stage_one.model_dump(mode="json", by_alias=True) | {"ema": 0.9}}
    other = small_recipe(data, name="other", seed=8, precision="bfloat16", deterministic=False, **average)
    return [plain, other]


def ask(name: str) -> dict[str, Any]:
    function = f"tests.child_functions:{name}"
    return run_in_child(function, Words(), deadline_seconds=60, listener=lambda *_: None, shared=True)


class Home:
    """Builds all steps of recipes, and notes what each made and which processes were there after it."""

    def __init__(self, folder: Path, *, shared: bool) -> None:
        self.folder = folder
        self.shared = shared
        self.made: dict[tuple[str, str], ArtifactRef] = {}
        self.left: dict[tuple[str, str], set[int]] = {}
        self.leaks: list[dict[str, int]] = []

    def build_all(self, recipe: Recipe) -> None:
        def build(name: str, step: Step, work_class: type[Work]) -> ArtifactRef:
            ref = ArtifactStore(self.folder).build(step, self._work(recipe.name, name, step, work_class))
            self.made[recipe.name, name] = ref
            return ref

        dataset = build("ingest", steps.ingest_step(recipe, self.folder), IngestWork)
        records = build("records", steps.records_step(recipe, dataset), RecordsWork)
        one = build("stage_one", steps.stage_one_step(recipe, self.folder, records), TrainWork)
        two = build("stage_two", steps.stage_two_step(recipe, records, one), TrainWork)
        evaluation = build("evaluate", steps.evaluate_step(recipe, records, one, two), EvaluateWork)
        step = steps.verdict_step(recipe, self.folder, evaluation, repair=True)
        verdict = ArtifactStore(self.folder).build(
            step, lambda folder: write_verdict(VerdictWork(home=self.folder, folder=folder, step=step))
        )
        inputs = {"dataset": dataset, "records": records, "stage_one": one, "stage_two": two, "verdict": verdict}
        build("publish", PublishStep(recipe=recipe, evaluation=evaluation, **inputs), PublishWork)

    def _work(self, recipe: str, name: str, step: Step, work_class: type[Work]) -> Callable[[Path], dict[str, Any]]:
        def work(folder: Path) -> dict[str, Any]:
            request: dict[str, Any] = {"home": self.folder, "folder": folder, "step": step}
            if "checkpoints" in work_class.model_fields:
                request["checkpoints"] = ArtifactStore(self.folder).checkpoints(step.key)
            shared = self.shared and step.shares_process
            whole = work_class.model_validate(request)
            facts = run_in_child(step.work, whole, deadline_seconds=300, listener=lambda *_: None, shared=shared)
            self.left[recipe, name] = own_children()
            return facts

        return work

    def facts(self, recipe: str, name: str) -> dict[str, Any]:
        return ArtifactStore(self.folder).facts(self.made[recipe, name])

    def files(self, recipe: str, name: str) -> dict[str, str]:
        folder = ArtifactStore(self.folder).folder(self.made[recipe, name])
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): file_sha256(path) for path in paths}


@pytest.fixture(scope="module")
def new(recipes: list[Recipe], tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("new"), shared=False)
    for recipe in recipes:
        home.build_all(recipe)
    return home


@pytest.fixture(scope="module")
def used(recipes: list[Recipe], tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("used"), shared=True)
    with sharing_children():
        Home(tmp_path_factory.mktemp("before"), shared=True).build_all(recipes[1])
        for recipe in recipes:
            home.build_all(recipe)
            home.leaks.append(ask("count_what_is_held"))
    return home


@pytest.mark.parametrize("name", ["records", "stage_one", "stage_two", "evaluate"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_used_process_makes_the_same_bytes(
    new: Home, used: Home, recipes: list[Recipe], number: int, name: str
) -> None:
    key = recipes[number].name, name
    assert new.made[key] == used.made[key]
    assert new.facts(*key).get("weights_sha256") == used.facts(*key).get("weights_sha256")


def test_a_used_process_makes_the_same_release(new: Home, used: Home, recipes: list[Recipe]) -> None:
    for recipe in recipes:
        key = recipe.name, "publish"
        assert new.facts(*key)["id"] == used.facts(*key)["id"]
        files, others = new.files(*key), used.files(*key)
        assert files.keys() == others.keys()
        # Two processes of the same kind differ in these too: their formats hold times and random names.
        differ = {name for name in files if files[name] != others[name]}
        assert all(name.startswith(("model.keras", "saved_model/", "SHA256SUMS", "manifest.json")) for name in differ)


def test_the_steps_of_a_run_share_one_process(new: Home, used: Home) -> None:
    (process,) = set.union(*used.left.values())
    assert all(left == {process} for (_, name), left in used.left.items() if name != "ingest")
    assert set.union(*new.left.values()) == set()


def test_a_used_process_keeps_no_file_open_and_no_graph(used: Home) -> None:
    first, second = used.leaks
    assert second["descriptors"] <= first["descriptors"]
    assert second["graphs"] == 0


def test_keras_comes_without_what_only_the_evaluation_needs() -> None:
    answer = ask("import_sklearn")
    assert "keras" in answer["before"]
    assert {"matplotlib", "sklearn"}.isdisjoint(answer["before"])
    assert "sklearn" in answer["after"]
