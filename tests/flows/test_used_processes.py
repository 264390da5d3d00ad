"""A step makes the same bytes in a new process and in one that other steps have used. Without Prefect."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.child_functions import Words
from tests.support import WalkHere, small_recipe, store_of, write_pictures
from tests.test_shared_children import own_children
from thaw.flows.graph import GRAPH, Node
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef, file_sha256
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.children import run_in_child, sharing_children
from thaw.tasks.publishing.step import ReleaseFacts

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
    facts: dict[str, Any] = run_in_child(
        function, Words(), deadline_seconds=60, listener=lambda *_: None, shared=True
    ).facts
    return facts


class Walker(WalkHere):
    """Builds all steps of a recipe in child processes, and notes which there were after each."""

    def __init__(self, recipe: Recipe, builds: "Builds") -> None:
        super().__init__(recipe, builds.folder)
        self.builds = builds

    def work(self, node: Node, missing: Sequence[tuple[Step, Path]], **request: Any) -> list[Made]:
        (step, folder), *others = missing
        assert not others
        work = self.request_of(step, folder, **request)
        made = run_in_child(step.work, work, deadline_seconds=300, listener=lambda *_: None, shared=self.builds.shared)
        self.builds.left[self.recipe.name, node.name] = own_children()
        return made.parted()


class Builds:
    """All steps of recipes in one home folder: what each made, and which processes were there after it."""

    def __init__(self, folder: Path, *, shared: bool) -> None:
        self.folder, self.shared = folder, shared
        self.made: dict[tuple[str, str], ArtifactRef] = {}
        self.left: dict[tuple[str, str], set[int]] = {}
        self.leaks: list[dict[str, int]] = []

    def build_all(self, recipe: Recipe) -> None:
        walker = Walker(recipe, self)
        walker.go(GRAPH)
        self.made |= {(recipe.name, name): ref for name, ref in walker.made.items() if isinstance(ref, ArtifactRef)}

    def files(self, recipe: str, name: str) -> dict[str, str]:
        folder = store_of(self.folder).folder(self.made[recipe, name])
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): file_sha256(path) for path in paths}


@pytest.fixture(scope="module")
def new(recipes: list[Recipe], tmp_path_factory: pytest.TempPathFactory) -> Builds:
    builds = Builds(tmp_path_factory.mktemp("new"), shared=False)
    for recipe in recipes:
        builds.build_all(recipe)
    return builds


@pytest.fixture(scope="module")
def used(recipes: list[Recipe], tmp_path_factory: pytest.TempPathFactory) -> Builds:
    builds = Builds(tmp_path_factory.mktemp("used"), shared=True)
    with sharing_children():
        Builds(tmp_path_factory.mktemp("before"), shared=True).build_all(recipes[1])
        for recipe in recipes:
            builds.build_all(recipe)
            builds.leaks.append(ask("count_what_is_held"))
    return builds


@pytest.mark.parametrize("name", ["records", "stage_one", "stage_two", "calibrate", "evaluate", "report"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_used_process_makes_the_same_bytes(
    new: Builds, used: Builds, recipes: list[Recipe], number: int, name: str
) -> None:
    key = recipes[number].name, name
    assert new.made[key] == used.made[key]


def test_a_used_process_makes_the_same_release(new: Builds, used: Builds, recipes: list[Recipe]) -> None:
    for recipe in recipes:
        key = recipe.name, "publish"
        ids = [store_of(builds.folder).facts(builds.made[key], ReleaseFacts).id for builds in (new, used)]
        assert ids[0] == ids[1]
        files, others = new.files(*key), used.files(*key)
        assert files.keys() == others.keys()
        # Two processes of the same kind differ in these too: their formats hold times and random names.
        differ = {name for name in files if files[name] != others[name]}
        assert all(name.startswith(("model.keras", "saved_model/", "SHA256SUMS", "manifest.json")) for name in differ)


def test_the_steps_of_a_run_share_one_process(new: Builds, used: Builds) -> None:
    (process,) = set.union(*used.left.values())
    assert all(left == {process} for (_, name), left in used.left.items() if name != "ingest")
    assert set.union(*new.left.values()) == set()


def test_a_used_process_keeps_no_file_open_and_no_graph(used: Builds) -> None:
    first, second = used.leaks
    assert second["descriptors"] <= first["descriptors"]
    assert second["graphs"] == 0


def test_keras_comes_without_what_only_the_evaluation_needs() -> None:
    answer = ask("import_sklearn")
    assert "keras" in answer["before"]
    assert {"matplotlib", "sklearn"}.isdisjoint(answer["before"])
    assert "sklearn" in answer["after"]
