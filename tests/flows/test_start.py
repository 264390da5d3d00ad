"""What training starts from, where a recipe asks for the champion. No TensorFlow: stages and releases are made up."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.preflight.made import dataset_of, images, keep, learn
from tests.support import small_recipe, without_cost, write_pictures
from thaw.flows import requests
from thaw.flows.plan import plan
from thaw.flows.start import started_from
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.preprocessing import Fit
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import read_dataset, write_dataset
from thaw.tasks.ingest.step import DatasetFacts
from thaw.tasks.records.ids import ids_of
from thaw.tasks.records.index import table_name, table_of_shard
from thaw.tasks.records.step import RecordsFacts, RecordsStep
from thaw.tasks.releases.release import ReleaseInfo, read_in_place
from thaw.tasks.training.stage_facts import Measurement, StageFacts
from thaw.tasks.training.step import TrainStep, request_digest

HEAD = {
    "resolution": 16,
    "train": "head",
    "epochs": 1,
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "feature_views": 2,
}


def recipe_with(weights: Any, backbone: str = "SmallCNN", **changes: Any) -> Recipe:
    return small_recipe(Path("photos"), model={"backbone": backbone, "weights": weights}, **changes)


WARM = recipe_with("champion")


OLD = images(50)


class Made:
    """A home folder with images and records that are made up."""

    def __init__(self, folder: Path) -> None:
        self.home = Home.open(folder)
        self.dataset = keep(folder, OLD)
        self.records = self.records_of(self.dataset)

    def records_of(self, dataset: ArtifactRef) -> ArtifactRef:
        step = RecordsStep(dataset=dataset, source=WARM.dataset.source, records=WARM.records)

        def work(folder: Path) -> Any:
            write_json(folder / "records.json", dataset.digest)
            found = read_dataset(self.home.store.folder(dataset)).images
            tested = sorted(image.id for image in found if image.split == "test")
            np.save(
                folder / table_name("test"), table_of_shard(0, ids_of(tested), [0] * len(tested), [1] * len(tested))
            )
            return without_cost(RecordsFacts(examples={"train": 80, "validation": 10, "test": 10}, shards={}, bytes={}))

        return self.home.store.build(step, work)

    def write_images(self, folder: Path) -> Any:
        """Make up what ingest leaves behind: the first dataset."""
        dataset = dataset_of(OLD)
        write_dataset(folder, dataset.classes, dataset.images, duplicates=0, unreadable=[])
        return without_cost(DatasetFacts(classes=2, examples={}, duplicates=0, in_conflict=0, unreadable=0))

    def more_images(self) -> None:
        self.dataset = keep(self.home.path, images(60))
        self.records = self.records_of(self.dataset)

    def ask(self, recipe: Recipe = WARM) -> TrainStep:
        return requests.stage_one(recipe, self.home, self.records, None)

    def train(self, step: TrainStep) -> ArtifactRef:
        """Make up what a stage leaves behind."""
        same = Measurement(val_loss=1.0, val_accuracy=0.5)
        facts = StageFacts(
            name=step.name,
            backbone=step.model.backbone,
            fit=Fit(center_crop=None, resolution=16),
            classes=["cat", "dog"],
            training_images=80,
            epochs=1,
            kept_epoch=1,
            before=same,
            val_loss=same.val_loss,
            val_accuracy=same.val_accuracy,
            weights_sha256=step.key,
            parameters=1,
            trainable_parameters=1,
            trainable_tensors=1,
        )

        def work(folder: Path) -> Any:
            write_json(folder / "stage.json", facts.model_dump(mode="json"))
            return without_cost(facts)

        return self.home.store.build(step, work)

    def publish(self, recipe: Recipe = WARM) -> tuple[TrainStep, ReleaseInfo]:
        """Make up a run whose release becomes the champion."""
        step = self.ask(recipe)
        one = self.train(step)
        two = self.train(requests.stage_two(recipe, self.home, self.records, one, None))
        made_from = {"stage_one": one.model_dump()}
        if step.champion is not None:
            made_from["champion"] = {"kind": "stage", "digest": step.champion}
        release = learn(
            self.home.path,
            self.dataset,
            recipe,
            tag=two.digest,
            made_from=made_from,
            started_from=started_from(recipe, self.home, one),
            stage_one_request=request_digest(step.key_document),
        )
        return step, release

    def promote(self, release: ReleaseInfo) -> None:
        self.home.registry.promote(release.id, "for a test")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def weights_of(release: ReleaseInfo) -> str | None:
    return read_in_place(release.path).model.weights


def test_the_first_run_starts_from_the_first_weights_and_shares_its_key_with_one_that_asks_for_these(
    made: Made,
) -> None:
    for backbone, first, words in (("MobileNetV2", "imagenet", "ImageNet"), ("SmallCNN", None, "random")):
        step = made.ask(recipe_with("champion", backbone))
        assert step.key == made.ask(recipe_with(first, backbone)).key
        assert step.start_note == f"stage_one starts from {words} weights: small has no champion yet."


def test_once_there_is_a_champion_training_starts_from_it(made: Made) -> None:
    _, champion = made.publish()
    made.more_images()
    step = made.ask()
    assert step.champion == weights_of(champion)
    assert step.start_note == f"stage_one starts from the weights of {champion.id}."
    assert champion.id not in str(step.key_document)
    assert started_from(WARM, made.home, made.train(step)) == champion.id
    assert made.ask(recipe_with(None)).champion is None


def test_a_run_that_is_repeated_asks_for_the_same_whether_or_not_its_release_was_promoted(made: Made) -> None:
    first, old = made.publish()
    assert made.ask() == first.model_copy(update={"start_note": made.ask().start_note})
    made.more_images()
    step, new = made.publish()
    assert new.is_champion
    assert made.ask() == step
    assert made.ask().champion == weights_of(old)
    assert started_from(WARM, made.home, made.train(made.ask())) == old.id
    made.promote(old)  # as if it had not become the champion, or after a rollback
    assert made.ask() == step


def test_settings_of_stage_two_train_no_stage_one_anew_and_its_own_do_from_the_champion(made: Made) -> None:
    step, champion = made.publish()
    after = WARM.stage_two.model_copy(update={"epochs": 9})
    assert made.ask(WARM.model_copy(update={"stage_two": after})).key == step.key
    assert made.ask(WARM.model_copy(update={"seed": 9})).champion == weights_of(champion)


def test_another_champion_is_another_start(made: Made) -> None:
    _, old = made.publish()
    made.more_images()
    _, new = made.publish()
    made.more_images()
    made.dataset = keep(made.home.path, images(70))
    made.records = made.records_of(made.dataset)
    after_new = made.ask()
    made.promote(old)
    after_old = made.ask()
    assert (after_new.champion, after_old.champion) == (weights_of(new), weights_of(old))
    assert after_new.key != after_old.key


def test_releases_of_the_same_weights_are_the_same_start(made: Made) -> None:
    _, old = made.publish()
    same = learn(made.home.path, made.dataset, WARM, tag=weights_of(old) or "", temperature=2.0)
    made.more_images()
    keys = []
    for release in (old, same):
        made.promote(release)
        keys.append(made.ask().key)
    assert keys[0] == keys[1]


def test_a_champion_that_will_not_do_is_passed_over_with_a_warning(made: Made) -> None:
    _, champion = made.publish()
    made.more_images()
    other = made.ask(recipe_with("champion", "MobileNetV2"))
    assert (other.champion, other.model.weights) == (None, "imagenet")
    assert other.start_warning == (
        f"stage_one starts from ImageNet weights: {champion.id}, the champion, is of another backbone, SmallCNN."
    )
    (made.home.path / "artifacts" / "stage" / str(weights_of(champion)) / "stage.json").write_text("damaged")
    lost = made.ask()
    assert lost.champion is None
    assert lost.start_warning is not None
    assert "has lost its weights" in lost.start_warning
    learn(made.home.path, made.dataset, WARM, tag="b", made_from={"stage_two": {"kind": "stage"}})
    assert "does not say which weights it has" in str(made.ask().start_warning)


def test_a_champion_that_has_learned_from_what_is_tested_now_is_passed_over(made: Made) -> None:
    _, champion = made.publish()
    moved = [dataclasses.replace(each, split="test") if number < 3 else each for number, each in enumerate(images(60))]
    made.dataset = keep(made.home.path, moved)
    made.records = made.records_of(made.dataset)
    step = made.ask()
    assert step.champion is None
    assert step.start_warning is not None
    assert f"{champion.id}, the champion, has learned from 3 of the images that are tested now" in step.start_warning
    assert "set dataset.seed" in step.start_warning
    learn(made.home.path, made.dataset, WARM, tag=weights_of(champion) or "", form=0)  # of an earlier thaw
    assert "does not say which images it has learned from" in str(made.ask().start_warning)


def test_a_weights_file_that_is_gone_is_missed_only_where_it_is_needed(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "w.weights.h5"
    file.write_bytes(b"weights")
    recipe = recipe_with({"champion": {"otherwise": str(file)}})
    step, champion = made.publish(recipe)
    assert (made.ask(recipe).key, made.ask(recipe).weights_sha256) == (step.key, step.weights_sha256)
    file.unlink()
    assert made.ask(recipe).champion == weights_of(champion)
    shutil.rmtree(made.home.path / "releases")
    with pytest.raises(RecipeError, match="cannot be read: No such file or directory"):
        made.ask(recipe)


def test_a_start_that_is_gone_is_missed_only_where_the_stage_is_gone_too(made: Made) -> None:
    _, old = made.publish()
    made.more_images()
    step, new = made.publish()
    stages = made.home.path / "artifacts" / "stage"
    shutil.rmtree(stages / str(weights_of(old)))
    assert made.ask() == step
    shutil.rmtree(stages / read_in_place(new.path).made_from["stage_one"]["digest"])
    assert made.ask().champion == weights_of(new)


def test_a_stage_starts_from_what_its_features_are_of_though_the_champion_changes_meanwhile(made: Made) -> None:
    recipe = recipe_with({"champion": {"shrink": 0.5, "perturb": 0.1}}, stage_one=HEAD, stage_two=HEAD)
    assert requests.one_pass_does(recipe)
    _, old = made.publish(recipe)
    made.more_images()
    features = requests.features_one(recipe, made.home, made.records)
    assert features is not None
    assert features.also is not None
    assert features.champion == features.also.champion == weights_of(old)
    learn(made.home.path, made.dataset, recipe, tag=made.train(made.ask(recipe)).digest)  # by another run
    step = requests.stage_one(recipe, made.home, made.records, features)
    assert (step.champion, step.shrink, step.perturb) == (weights_of(old), 0.5, 0.1)
    again = requests.features_two(recipe, made.home, made.records, made.train(step))
    assert again is not None
    assert again.key == features.also.key
    changed = requests.features_one(recipe, made.home, made.records)
    assert changed is not None
    assert changed.key != features.key


def test_features_do_not_follow_how_the_champion_is_left(made: Made) -> None:
    plain = recipe_with("champion", stage_one=HEAD)
    made.publish(plain)
    made.more_images()
    shrunk = recipe_with({"champion": {"shrink": 0.5}}, stage_one=HEAD)
    keys = [requests.features_one(recipe, made.home, made.records) for recipe in (plain, shrunk)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert keys[0].key == keys[1].key
    assert made.ask(plain).key != made.ask(shrunk).key


def test_a_plan_with_a_damaged_champion_says_so(made: Made, tmp_path: Path) -> None:
    recipe = small_recipe(write_pictures(tmp_path / "data", each=1), model=dict(WARM.model), stage_one=HEAD)
    (learn(made.home.path, made.dataset, recipe).path / "release.json").write_text("damaged")
    made.home.store.build(requests.ingest(recipe, made.home), made.write_images)
    made.records_of(made.dataset)
    planned = plan(recipe, made.home)
    assert not planned.up_to_date
    reasons = {task.name: task.reasons for task in planned.tasks}
    for name in ("features_one", "stage_one"):
        assert "release.json" in reasons[name][0], reasons
