"""Images that have to stay right: which may be named, what becomes of a release's recipe, and the veto."""

import shutil
from pathlib import Path

import pytest

from tests.support import WalkHere, baseline_without_champion, calibration_of, small_recipe, write_pictures
from tests.verdict.tables import candidate, ids
from tests.verdict.test_guards import verdict_with
from thaw.flows.graph import GRAPH, PREPARATION
from thaw.flows.requests import verdict
from thaw.pipeline_config.errors import DatasetError, RecipeError
from thaw.pipeline_config.loading import load_recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import read_dataset
from thaw.tasks.publishing.portable_recipe import portable_recipe, recipe_yaml
from thaw.tasks.releases.verdict import Broken, Verdict
from thaw.tasks.verdict.must_not_break import broken_in, in_words, kept_images
from thaw.tasks.verdict.step import VerdictStep


def test_a_wrong_answer_for_a_kept_image_forbids_what_else_would_be_promoted():
    right, wrong = {ids(20)[0]: ids(20)[0]}, {ids(20)[19]: "dogs/rex.jpg"}
    new, old = "1" * 19 + "0", "0" * 10 + "1" * 10
    assert (verdict_with(new, old).verdict, verdict_with(new, old, kept=right).verdict) == ("better",) * 2
    verdict = verdict_with(new, old, kept=right | wrong)
    assert (verdict.verdict, verdict.promote) == ("vetoed", False)
    assert verdict.broken == [Broken(image="dogs/rex.jpg", class_name="dog", predicted_class="cat")]
    assert verdict.reason.endswith(
        "Images that must stay right are wrong: dogs/rex.jpg is called cat (publish.must_not_break)."
    )


def test_only_some_are_named_in_the_sentence():
    broken = broken_in(dict(zip(ids(40), ids(40), strict=True)), candidate("0" * 40))
    assert len(broken) == 40
    (words,) = in_words(broken)
    assert words.endswith(f"{ids(3)[2]} is called dog and 37 more (publish.must_not_break).")
    assert in_words([]) == []


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("kept") / "data")


@pytest.fixture(scope="module")
def prepared(data: Path, tmp_path_factory) -> Path:
    home: Path = tmp_path_factory.mktemp("kept") / "home"
    WalkHere(small_recipe(data), home).go(PREPARATION)
    return home


def keeping(data: Path, kept):
    return small_recipe(data, publish={"min_examples": 1, "formats": ["keras"], "must_not_break": kept})


def test_what_is_not_there_is_refused_before_anything_is_trained(data: Path, prepared: Path, tmp_path: Path):
    store = Home.open(prepared).store
    walk = WalkHere(small_recipe(data), prepared)
    walk.go(PREPARATION)
    images = read_dataset(store.folder(walk.made["ingest"])).images
    chosen = {split: next(image for image in images if image.split == split) for split in ("train", "test")}
    known, files = ({split: getattr(image, field) for split, image in chosen.items()} for field in ("id", "origin"))
    for folder, content in (
        ("kept/bleu", b""),
        ("empty/red", b""),
        ("text/blue", b"no image"),
        ("cut/red", (data / "red" / "000.png").read_bytes()[:-200]),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.png").write_bytes(content)
    refusals = [
        (
            [known["test"], known["train"]],
            RecipeError,
            f"'{known['train']}' is no test image, because it is in the train split. Expected files or ids of the test",
        ),
        (
            [f"{files['test']}x"],
            RecipeError,
            f"{files['test']}x' is no test image. Expected .* Nearest: {files['test']}",
        ),
        (["0" * 64], RecipeError, f"'{'0' * 64}' is no test image. Expected .* folder of class folders.$"),
        (str(tmp_path / "kept"), RecipeError, "has a folder 'bleu', which is no class. Expected .* blue, red"),
        (str(tmp_path / "none"), DatasetError, "none: No such file"),
        (
            str(tmp_path / "empty"),
            DatasetError,
            "empty/red/1.png is no whole image: the file is empty",
        ),
        (str(tmp_path / "text"), DatasetError, "text/blue/1.png is no whole image: not a JPEG, PNG, BMP, GIF or WebP"),
        (str(tmp_path / "cut"), DatasetError, r"cut/red/1.png is no whole image: .*\. Mend it, or remove it\."),
    ]
    for kept, error, words in refusals:
        with pytest.raises(error, match=words):
            WalkHere(keeping(data, kept), prepared).go(PREPARATION)
    WalkHere(keeping(data, [known["test"], files["test"]]), prepared).go(PREPARATION)
    by_id, by_file = (kept_images([name], walk.home, walk.made["ingest"]) for name in (known["test"], files["test"]))
    assert (by_id, by_file) == ({known["test"]: known["test"]}, {known["test"]: files["test"]})
    nothing = ArtifactRef(kind="none", digest="0" * 64)
    made = {**walk.made, "stage_two": nothing, "evaluate": nothing, "calibrate": calibration_of(prepared)}
    step = verdict(keeping(data, [files["test"]]), walk.home, baseline=baseline_without_champion(prepared), **made)
    assert step.kept == by_file
    assert files["test"] in str(step.depends_on())


def test_a_release_states_no_folder_of_this_machine_and_its_recipe_can_be_run(data: Path, tmp_path: Path):
    recipe = keeping(data, str(tmp_path / "kept"))
    document = portable_recipe(recipe, resolved=False)
    text = recipe_yaml(document, "recipe.yaml", "as it was written", recipe.dataset.source)
    assert str(tmp_path) not in text
    assert text.splitlines()[0].endswith(
        "thaw run recipe.yaml --set dataset.source.path=PLACE --set publish.must_not_break=FOLDER"
    )
    (tmp_path / "recipe.yaml").write_text(text)
    again = load_recipe(str(tmp_path / "recipe.yaml"), (f"publish.must_not_break={tmp_path / 'kept'}",), data=data)
    assert again.publish == recipe.publish
    relative = load_recipe(str(tmp_path / "recipe.yaml"), ("publish.must_not_break=kept",), data=data)
    assert relative.publish == recipe.publish


def test_a_folder_is_answered_for_by_the_new_model_and_its_content_is_part_of_the_key(data: Path, tmp_path: Path):
    kept = tmp_path / "kept"
    for name, other in (("blue", "red"), ("red", "blue")):  # two are as they are, two are the other way round
        (kept / name).mkdir(parents=True)
        shutil.copyfile(data / name / "000.png", kept / name / "right.png")
        shutil.copyfile(data / other / "001.png", kept / name / "wrong.png")
    walk = WalkHere(keeping(data, str(kept)), tmp_path / "home")
    walk.go(GRAPH)
    verdict = walk.home.store.facts(walk.made["verdict"], Verdict)
    (node,) = (node for node in GRAPH if node.name == "verdict")
    step = walk.asked(node)
    assert isinstance(step, VerdictStep)
    assert str(kept) not in str(step.key_document)
    assert [each.image for each in verdict.broken] == ["blue/wrong.png", "red/wrong.png"]
    assert (verdict.verdict, verdict.promote) == ("vetoed", False)
    moved = shutil.copytree(kept, tmp_path / "moved")
    walk.recipe = keeping(data, str(moved))
    assert walk.asked(node).key == step.key
    (moved / "blue" / "wrong.png").unlink()
    assert walk.asked(node).key != step.key
