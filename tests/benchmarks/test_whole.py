"""Every benchmark from start to end, on images and a network so small that its figures say nothing."""

from pathlib import Path

import pytest

from benchmarks import scale, steps_in_a_row
from tests.benchmarks.made import benchmark, write_small_recipe, write_splits
from tests.support import WalkHere
from tests.training.features import stage
from thaw.flows.graph import GRAPH
from thaw.pipeline_config.loading import load_recipe
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home

SMALL_TUTORIAL = {
    "model.weights": "null",
    "stage_one.resolution": "32",
    "stage_two.resolution": "32",
    "stage_one.epochs": "1",
    "stage_two.epochs": "1",
}
SETTINGS = [word for key, value in SMALL_TUTORIAL.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("images"))


@pytest.mark.slow
def test_steps_in_a_row_are_those_of_a_run_and_end_in_a_release(images: Path, tmp_path: Path) -> None:
    stages = {"stage_one": stage(), "stage_two": stage(train={"last_blocks": 1})}
    recipe = load_recipe(str(write_small_recipe(tmp_path, images, **stages)), ("publish.require=always",))
    opened = Home.open(tmp_path / "home")
    seconds = steps_in_a_row.run(recipe, opened.path)
    # One pass makes the features of both stages.
    assert list(seconds) == [node.name for node in GRAPH if node.name not in ("features_two", "feature_drift")]
    assert min(seconds.values()) > 0
    (release,) = opened.registry.list()
    assert release.is_champion
    walk = WalkHere(recipe, opened.path)
    walk.go(GRAPH)
    assert walk.ran == []  # a run asks for the same
    peaks = scale.peaks_of_artifacts(opened.path)
    made = {ref.digest for ref in walk.made.values() if isinstance(ref, ArtifactRef)}
    assert made <= set(peaks)  # all are made in processes, which say what they held
    assert min(peaks.values()) > 10**7


@pytest.mark.slow
def test_orchestration_compares_a_run_with_its_steps_in_a_row(images: Path, tmp_path: Path) -> None:
    recipe = write_small_recipe(tmp_path, images)
    report = benchmark("orchestration", "--recipe", recipe, "--repetitions", "1")
    plain, prefect = (report["tasks"][name] for name in ("steps in a row", "thaw run"))
    assert list(plain) == list(prefect)
    assert report["seconds"]["thaw run"] > sum(prefect.values())


@pytest.mark.slow
def test_scale_counts_every_task_with_each_number_of_images(images: Path, tmp_path: Path) -> None:
    recipe = write_small_recipe(tmp_path, images)
    report = benchmark("scale", "--recipe", recipe, "--data", images, "--times", "1,2", "--epochs", "1")
    assert [of_number["images"] for of_number in report["figures"]] == [48, 96]
    for of_number in report["figures"]:
        assert {"ingest", "records", "stage_one"} <= set(of_number["seconds"]) == set(of_number["bytes"])
        assert {"command", "step train_stage"} <= set(of_number["own_memory"])
        assert {"command", "ingest", "stage_one", "publish"} <= set(of_number["resident_memory"])


@pytest.mark.slow
def test_growth_adds_one_image_in_twenty_and_compares_each_task(images: Path, tmp_path: Path) -> None:
    recipe = write_small_recipe(tmp_path, images, stage_one=stage(), stage_two=stage(train={"last_blocks": 1}))
    report = benchmark("growth", "--recipe", recipe, "--data", images)
    assert report["images"] == [45, 3]
    assert list(report["shares"]) == ["ingest", "records", "features_one", "all"]
    assert min(report["shares"].values()) > 0


@pytest.mark.slow
def test_the_whole_job_measures_both_on_the_same_images(images: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    report = benchmark("whole_job", "--data", images, "--seeds", "0", "--plot", plot, *SETTINGS)
    assert report["images"] == {"train": 16, "validation": 16, "test": 16}
    thaw, tutorial = (report["figures"][name] for name in ("thaw", "tutorial"))
    for figures in (thaw, tutorial):
        assert sum(figures["parts"].values()) == pytest.approx(figures["seconds"], abs=0.1)
        assert figures["all_processes_bytes"] >= figures["largest_process_bytes"] > 0
        assert 0 <= figures["accuracy"] <= 1
    assert report["ratio"] == pytest.approx(thaw["seconds"] / tutorial["seconds"], abs=0.01)
    limit = report["limit"]
    assert limit["seconds"] == pytest.approx(sum(limit["parts"].values()), abs=0.01)
    assert 0 < limit["seconds"] < thaw["seconds"]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_input_pipeline_reads_the_same_images_in_three_ways(images: Path) -> None:
    report = benchmark("input_pipeline", "--data", images, "--steps", "2", "--repetitions", "1", *SETTINGS)
    assert report["images"] == 16
    assert set(report["images_per_second"]) == {"records", "directory", "tfds"}
    assert set(report["steps"]) > {"stage_one", "stage_two"}
    assert 0 <= report["share_waiting"] <= 1
