"""The step's work on a small home folder: the page, its pictures, and the tables with the names of files."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.evaluation.shades import CLASSES, build_home, make_png, make_settings
from tests.report.synthetic import PICTURES, make_verdict
from tests.support import build_here, calibration_of, without_cost
from thaw.pipeline_config.augment_schema import RandomRotation
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.stage_schema import FromLayer, LastBlocks
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.evaluation.step import EvaluateStep, EvaluateWork
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import DatasetImage, write_dataset
from thaw.tasks.ingest.step import DatasetFacts, IngestStep
from thaw.tasks.process import Reporter
from thaw.tasks.releases.verdict import Looks
from thaw.tasks.report.step import ReportStep, ReportWork
from thaw.tasks.verdict.step import VerdictStep

TEST_IMAGES = [make_png(number % 2, number + 4000) for number in range(11)]
IDS = [hashlib.sha256(content).hexdigest() for content in TEST_IMAGES]
INPUT = Preprocessing(max_pixels=10**6, max_side=None, resolution=8, center_crop=None)


def build_dataset(home: Path, folder: str) -> ArtifactRef:
    """The dataset that the records might be of, its files in a folder of this name."""
    from thaw.pipeline_config.dataset_schema import DatasetConfig

    def fill(at: Path):
        images = [
            DatasetImage(image, row % 2, CLASSES[row % 2], "test", 12, 10, "PNG", 1, f"{folder}/{row:02}.png", 0.0)
            for row, image in enumerate(IDS)
        ]
        write_dataset(at, CLASSES, images, duplicates=0, unreadable=[])
        counts = {"train": 14, "validation": 4, "test": 11}
        return without_cost(DatasetFacts(classes=2, examples=counts, duplicates=0, in_conflict=0, unreadable=0))

    config = DatasetConfig.model_validate({"source": {"kind": "digits"}})
    return Home.open(home).store.build(IngestStep(dataset=config, seed=0, content=folder), fill)


def build_verdict(home: Path, asked: EvaluateStep, evaluation: ArtifactRef, dataset: ArtifactRef) -> ArtifactRef:
    """A verdict by which the new model is better on one image, and worse on two of another class."""
    import pyarrow as pa

    from thaw.pipeline_config.publish_schema import PublishConfig
    from thaw.tasks.verdict.comparison import FLIPS_SCHEMA

    dark, light = CLASSES
    rows = [(IDS[0], dark, dark, 0.9, light, 0.6), (IDS[1], light, dark, 0.7, light, 0.8)]
    rows.append((IDS[3], light, dark, 0.95, light, 0.5))
    verdict = make_verdict(gained=1, lost=2, images=11)

    def fill(at: Path):
        columns = [list(column) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(columns, schema=FLIPS_SCHEMA), at / "flips.parquet")
        return without_cost(verdict)

    step = VerdictStep(
        dataset=dataset,
        model=asked.stage_two,
        input=INPUT,
        evaluation=evaluation,
        baseline=evaluation,
        champion=verdict.champion,
        anchor=None,
        looks=Looks(test_split="a" * 64, before=0, among=1),
        publish=PublishConfig(),
        kept=None,
        slices=[],
    )
    return Home.open(home).store.build(step, fill)


@dataclass(frozen=True)
class Reported:
    """A report that was made, and its request."""

    home: Path
    step: ReportStep
    folder: Path

    @property
    def page(self) -> str:
        """The page as it is written."""
        return (self.folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    from thaw.tasks.evaluation.work import evaluate

    home: Path = tmp_path_factory.mktemp("report") / "home"
    asked: EvaluateStep = build_home(home)
    evaluation, dataset = build_here(home, asked, EvaluateWork, evaluate), build_dataset(home, "photos")
    step = ReportStep(
        recipe_name="shades",
        source="directory",
        stage_one_settings=make_settings("all"),
        stage_two_settings=make_settings(LastBlocks(last_blocks=1)),
        formats=["keras", "saved_model"],
        input=INPUT,
        seed=5,
        dataset=dataset,
        records=asked.records,
        stage_one=asked.stage_one,
        stage_two=asked.stage_two,
        calibration=calibration_of(home),
        evaluation=evaluation,
        verdict=build_verdict(home, asked, evaluation, dataset),
    )
    return Reported(home, step, write(home, home.with_name("made"), step))


def write(home: Path, folder: Path, step: ReportStep) -> Path:
    from thaw.tasks.report.work import write_report

    folder.mkdir()
    write_report(ReportWork(home=Home.open(home), folder=folder, step=step), Reporter(io.StringIO()))
    return folder


def test_the_artifact_holds_the_page_the_pictures_and_the_tables(reported: Reported):
    files = {path.relative_to(reported.folder).as_posix() for path in reported.folder.rglob("*") if path.is_file()}
    pictures = {f"pictures/{name}.png" for name in PICTURES}
    assert files == {"report.html", "report.md", "predictions.parquet", "flips.parquet"} | pictures


def test_the_tables_name_the_file_of_each_image(reported: Reported):
    evaluation = Home.open(reported.home).store.folder(reported.step.evaluation)
    predictions = pq.read_table(reported.folder / "predictions.parquet")
    assert predictions["origin"].to_pylist() == [f"photos/{row:02}.png" for row in range(11)]
    assert predictions.drop_columns("origin").equals(pq.read_table(evaluation / "predictions.parquet"))
    flips = pq.read_table(reported.folder / "flips.parquet")
    assert flips["origin"].to_pylist() == ["photos/00.png", "photos/01.png", "photos/03.png"]


def test_the_page_shows_what_changed_by_class_and_the_surest_first(reported: Reported):
    page = reported.page
    better, worse = page.index('id="better"'), page.index('id="worse"')
    assert "photos/00.png" in page[better:worse]
    rest = page[worse : page.index('id="numbers"')]
    assert "&lt;b&gt;light&lt;/b&gt;: 2 images" in rest
    assert rest.index("photos/03.png") < rest.index("photos/01.png")  # of this wrong answer it is surer
    assert "data:image/png" in rest  # tiny images keep their pixels


def test_the_page_tells_what_was_trained_and_escapes_the_class_names(reported: Reported):
    assert "the whole network" in reported.page
    assert "the last block and the head" in reported.page
    assert "14 images of 2 classes" in reported.page
    assert CLASSES[1] not in reported.page


def test_it_shows_how_to_load_the_format_that_answers_first(reported: Reported):
    assert "tf.saved_model.load(&#34;saved_model&#34;)" in reported.page
    assert "```" not in reported.page


def test_another_run_in_another_folder_makes_the_same_bytes(reported: Reported, tmp_path: Path):
    again = write(reported.home, tmp_path / "again", reported.step)
    made = [path.relative_to(reported.folder) for path in reported.folder.rglob("*") if path.is_file()]
    assert [path for path in made if (reported.folder / path).read_bytes() != (again / path).read_bytes()] == []


def test_renamed_files_change_the_names_and_nothing_else(reported: Reported, tmp_path: Path):
    step = reported.step.model_copy(update={"dataset": build_dataset(reported.home, "album")})
    again = write(reported.home, tmp_path / "again", step)
    page = (again / "report.html").read_text(encoding="utf-8").replace("album/", "photos/")
    assert page.replace(step.dataset.digest, reported.step.dataset.digest) == reported.page


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("head", "the head; the backbone is frozen"),
        ("last_batch_norm", "the last BatchNormalization and the head"),
        (FromLayer(from_layer=100), "from layer 100 of the backbone on"),
        (FromLayer(from_layer="block_13_expand"), "from layer block_13_expand of the backbone on"),
        (LastBlocks(last_blocks=3), "the last 3 blocks and the head"),
    ],
)
def test_what_a_stage_trains_is_said_in_words(train, words):
    from thaw.tasks.report.training_story import describe

    assert describe(train) == words


def test_nine_augmentations_are_nine_different_images_by_the_seed():
    from thaw.tasks.report.images import augmentations

    operations = [RandomRotation(name="random_rotation", factor=0.4)]
    nine = augmentations(make_png(1, 0), 7, 16, operations)
    assert {(image.shape, image.dtype.name) for image in nine} == {((16, 16, 3), "uint8")}
    assert len({image.tobytes() for image in nine}) == 9
    again = augmentations(make_png(1, 0), 7, 16, operations)
    assert [image.tobytes() for image in again] == [image.tobytes() for image in nine]
    assert augmentations(make_png(1, 0), 8, 16, operations)[0].tobytes() != nine[0].tobytes()
