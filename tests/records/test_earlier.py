"""What earlier records have is taken over, and what is then written is what a run from nothing writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ingest.pictures import Recorder, directory, encode, fill, picture
from tests.records.made import COUNTS, SMALL_SHARDS, Made
from tests.support import without_cost
from thaw.pipeline_config.dataset_schema import RecordsConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Made as Outcome
from thaw.tasks.records.step import RecordsStep, RecordsWork
from thaw.tasks.records.work import write_records

IMAGES = sum(COUNTS.values())


def add(data: Path) -> None:
    for number in range(3):
        (data / "train" / "dogs" / f"new{number}.jpg").write_bytes(encode(picture(500 + number)))


def remove(data: Path) -> None:
    for path in sorted((data / "train" / "cats").iterdir())[:2]:
        path.unlink()


def relabel(data: Path) -> None:
    path = min((data / "train" / "cats").iterdir())
    path.rename(data / "train" / "dogs" / f"moved-{path.name}")


def replace(data: Path) -> None:
    min((data / "train" / "cats").iterdir()).write_bytes(encode(picture(600)))


def add_a_class_before_the_others(data: Path) -> None:
    for split in ("train", "validation", "test"):
        (data / split / "bees").mkdir()
        (data / split / "bees" / "0.jpg").write_bytes(encode(picture(700 + len(split))))


def move_to_another_split(data: Path) -> None:
    path = min((data / "train" / "cats").iterdir())
    path.rename(data / "test" / "cats" / f"moved-{path.name}")


def build(made: Made, config: RecordsConfig = SMALL_SHARDS) -> tuple[ArtifactRef, Recorder]:
    """Write records as a run does; the images' files may be gone."""
    step, reporter = RecordsStep(dataset=made.dataset, source=directory(made.data), records=config), Recorder()

    def work(folder: Path) -> Outcome:
        return without_cost(write_records(RecordsWork(home=made.home, folder=folder, step=step), reporter))

    return made.store.build(step, work), reporter


def taken_over(reporter: Recorder) -> int:
    lines = [line for line in reporter.told("log") if "taken over" in line]
    return int(lines[0].split()[0]) if lines else 0


def all_at_once(data: Path) -> None:
    for change in (remove, relabel, replace, move_to_another_split, add_a_class_before_the_others, add):
        change(data)


@pytest.mark.parametrize(("change", "known"), [(add, IMAGES), (all_at_once, IMAGES - 3)])
def test_after_a_change_of_the_images_only_what_is_new_is_read_and_the_bytes_are_those_of_a_run_from_nothing(
    tmp_path: Path, change: Callable[[Path], None], known: int
) -> None:
    data = fill(tmp_path / "data", COUNTS)
    before = Made(tmp_path / "home", data)
    build(before)
    change(data)
    ref, reporter = build(Made(tmp_path / "home", data))
    from_nothing, alone = build(Made(tmp_path / "other", data))
    assert ref == from_nothing
    assert (taken_over(reporter), taken_over(alone)) == (known, 0)
    assert reporter.told("warning") == []


def test_an_image_that_only_an_older_artifact_has_is_taken_from_there(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", COUNTS)
    build(Made(tmp_path / "home", data))
    path = min((data / "train" / "cats").iterdir())
    content = path.read_bytes()
    path.unlink()
    add(data)
    build(Made(tmp_path / "home", data))
    path.write_bytes(content)
    reporter = build(Made(tmp_path / "home", data))[1]
    assert taken_over(reporter) == IMAGES + 3


def test_records_that_are_damaged_are_set_aside_and_not_taken_over(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", COUNTS)
    made = Made(tmp_path / "home", data)
    earlier = min(made.store.folder(build(made)[0]).glob("train-*.tfrecord"))
    content = bytearray(earlier.read_bytes())
    content[100] ^= 1
    earlier.write_bytes(content)
    add(data)
    ref, reporter = build(Made(tmp_path / "home", data))
    assert ref == build(Made(tmp_path / "other", data))[0]
    assert taken_over(reporter) == 0
    (warning,) = reporter.told("warning")
    assert warning.startswith(f"{earlier} was altered")
    assert not earlier.exists()


def test_an_image_that_is_taken_over_need_not_be_there(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", COUNTS)
    build(Made(tmp_path / "home", data))
    add(data)
    made = Made(tmp_path / "home", data)
    min((data / "train" / "cats").iterdir()).unlink()
    ref = build(made)[0]
    assert ref.kind == "records"
