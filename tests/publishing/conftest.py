"""One real release for the tests that need TensorFlow: a tiny model, every file, written by the step's own work."""

import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from tests.publishing.helpers import verdict_of
from tests.report.synthetic import make_table, make_tested
from tests.support import without_cost
from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.preprocessing import Fit
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
from thaw.tasks.artifacts.step import Step
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.evaluation.predictions import write_table
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import DatasetImage, write_dataset
from thaw.tasks.process import Reporter
from thaw.tasks.publishing.publish import publish
from thaw.tasks.releases.release import ReleaseInfo
from thaw.tasks.releases.verdict import ReleasedModel
from thaw.tasks.releases.verdict import TestMetrics as Metrics
from thaw.tasks.report.finishing import ID_PLACE

if TYPE_CHECKING:
    from thaw.tasks.publishing.step import PublishStep

CLASSES = ["Katze", "Hund 🐕", "cow"]
RESOLUTION = 24
CENTER_CROP = 0.875
TEMPERATURE = 1.7
THRESHOLD = 0.9
MAX_PIXELS = 1_000_000
RECIPE = (
    "name=tiny",
    f"dataset.max_pixels={MAX_PIXELS}",
    f"stage_two.resolution={RESOLUTION}",
    f"stage_two.augment=[{{name: center_crop, fraction: {CENTER_CROP}}}]",
)


def build(home: Path, kind: str, work, **document: Any) -> ArtifactRef:
    """Make an artifact of any kind."""

    class AnyStep(Step):
        work: ClassVar[str] = "thaw.tasks.releases.release:read_release"
        libraries: ClassVar[tuple[str, ...]] = ()
        name: str
        content: str | None = None
        weights_sha256: str | None = None

    AnyStep.kind = kind
    return Home.open(home).store.build(AnyStep(**document), lambda folder: work(folder) or without_cost())


def write_evaluation(folder: Path) -> None:
    score = {"examples": 10, "precision": 0.9, "recall": 0.9, "f1": 0.9}
    test = {
        "examples": 30,
        "accuracy": 0.9,
        "accuracy_ci": [0.74, 0.97],
        "confidence": 0.95,
        "loss": 0.3,
        "expected_calibration_error": 0.02,
        "temperature": TEMPERATURE,
        "uncalibrated": {"loss": 0.35, "expected_calibration_error": 0.05},
        "per_class": [{"class": name, **score} for name in CLASSES],
    }
    write_json(folder / "metrics.json", {"test": test, "stages": make_tested(CLASSES).model_dump(mode="json")})
    (folder / "history.parquet").write_bytes(b"history.parquet")


def write_report(folder: Path) -> None:
    (folder / "pictures").mkdir()
    write_table(make_table(CLASSES, 30), folder / "predictions.parquet")
    for name in ("flips.parquet", "pictures/curves.png"):
        (folder / name).write_bytes(name.encode())
    (folder / "report.html").write_text(f"report.html of {ID_PLACE}")


def write_calibration(folder: Path) -> None:
    before, after = ({"loss": loss, "expected_calibration_error": loss / 10} for loss in (0.4, 0.3))
    answered = {"images": 30, "answered": 21, "correct": 21}
    abstain = {"right": 0.8, "confidence": 0.95, "threshold": THRESHOLD, "validation": answered}
    facts = {"images": 30, "right": 27, "temperature": TEMPERATURE, "before": before, "after": after}
    write_json(folder / "calibration.json", {**facts, "abstain": abstain, "schema_version": 1})


def write_tiny_dataset(folder: Path) -> None:
    """Ten images of each class in each split."""
    places = itertools.product(SPLITS, enumerate(CLASSES), range(10))
    images = [
        DatasetImage(
            digest_of([split, label, number]), label, name, split, 30, 20, "JPEG", 100, f"{name}/{number}.jpg", 0.0
        )
        for split, (label, name), number in places
    ]
    write_dataset(folder, CLASSES, images, duplicates=0, unreadable=[])


def write_tiny_stage(folder: Path, name: str) -> None:
    import keras

    from thaw.tasks.training.stage_artifact import write_stage
    from thaw.tasks.training.stage_facts import Measurement, StageFacts

    keras.utils.clear_session()  # the names of layers count up in a process
    # Seeds of their own: what else runs in this process may draw from Python's generator meanwhile.
    filters = keras.initializers.GlorotUniform(seed=1)
    steep = keras.initializers.RandomNormal(stddev=3.0, seed=2)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((RESOLUTION, RESOLUTION, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, strides=2, activation="relu", kernel_initializer=filters),
            layers.BatchNormalization(),
            layers.GlobalMaxPooling2D(),
            layers.Dense(len(CLASSES), name="logits", kernel_initializer=steep),
            layers.Softmax(),
        ]
    )
    numbers = dict.fromkeys(
        ("training_images", "epochs", "kept_epoch", "parameters", "trainable_parameters", "trainable_tensors"), 1
    )
    stage = StageFacts(
        name=name,
        backbone="SmallCNN",
        fit=Fit(resolution=RESOLUTION, center_crop=CENTER_CROP),
        classes=CLASSES,
        before=Measurement(val_loss=1.0, val_accuracy=0.5),
        val_loss=0.5,
        val_accuracy=0.8,
        weights_sha256="0" * 64,
        **numbers,
    )
    write_stage(folder, model, [], stage)


def tiny_step(home: Path, data: Path, *overrides: str, champion: ReleasedModel | None = None) -> "PublishStep":
    """The request for a release, and all that it is made from."""
    from thaw.tasks.publishing.portable_recipe import portable_recipe
    from thaw.tasks.publishing.step import PublishStep

    evaluation = build(home, "evaluation", write_evaluation, name="evaluation")
    tested = Metrics(examples=30, accuracy=0.9, accuracy_ci=(0.74, 0.97))
    verdict = verdict_of(tested, champion, None, to_beat=0.8).model_dump(mode="json")

    def write_verdict(folder: Path) -> None:
        write_json(folder / "verdict.json", verdict)

    recipe = load_recipe("digits", (*RECIPE, *overrides), data=data)
    return PublishStep(
        recipe=recipe.resolved,
        written=portable_recipe(recipe, resolved=False),
        stage="stage_two",
        dataset=build(home, "dataset", write_tiny_dataset, name="dataset", content="c0"),
        records=build(home, "records", lambda at: write_json(at / "index.json", {}), name="records"),
        stage_one=build(home, "stage", lambda at: write_tiny_stage(at, "stage_one"), name="one", weights_sha256="f0"),
        stage_two=build(home, "stage", lambda at: write_tiny_stage(at, "stage_two"), name="two"),
        calibration=build(home, "calibration", write_calibration, name="calibration"),
        evaluation=evaluation,
        verdict=build(home, "verdict", write_verdict, name="verdict", content=str(verdict)),
        report=build(home, "report", write_report, name="report"),
    )


def make_release(home: Path, step: "PublishStep") -> ArtifactRef:
    """The release artifact, by the step's own work."""
    from thaw.tasks.publishing.step import PublishWork
    from thaw.tasks.publishing.work import write_release

    report = Reporter(io.StringIO())
    return Home.open(home).store.build(
        step, lambda folder: without_cost(write_release(PublishWork(home=home, folder=folder, step=step), report))
    )


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory) -> Path:
    """A home folder with one published release."""
    home: Path = tmp_path_factory.mktemp("home")
    publish(Home.open(home), make_release(home, tiny_step(home, tmp_path_factory.mktemp("photos"))))
    return home


@pytest.fixture(scope="session")
def release(tiny_home: Path) -> ReleaseInfo:

    (info,) = Home.open(tiny_home).registry.list()
    return info


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> dict[str, Path]:
    """Files in three formats and two shapes, with something in them to see; `photo.jpg` is to be turned."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("images")
    turned = Image.Exif()
    turned[0x0112] = 8  # as the commonest photos are, those of phones
    random = np.random.default_rng(0)
    paths = {}
    for name, size, brightest in [
        ("wide.jpg", (61, 40), 255),
        ("tall.png", (33, 80), 255),
        ("square.bmp", (50, 50), 90),
        ("photo.jpg", (90, 70), 255),
    ]:
        coarse = Image.fromarray(random.integers(0, brightest + 1, (5, 5, 3), dtype=np.uint8))
        paths[name] = folder / name
        options: dict[str, Any] = {"exif": turned} if name == "photo.jpg" else {}
        coarse.resize(size, Image.Resampling.BICUBIC).save(paths[name], **options)
    return paths


@pytest.fixture(scope="session")
def expected(release, photos) -> dict[str, list[float]]:
    """The probabilities of `model.keras`, for images that are cut and fitted as in training."""
    import keras
    import tensorflow as tf

    from thaw.tasks.pictures.decoding import prepare

    model = keras.saving.load_model(release.path / "model.keras")
    how = load_recipe("digits", RECIPE).preprocessing_of("stage_two")
    images = [prepare(tf.constant(path.read_bytes()), how) for path in photos.values()]
    rows = model(tf.stack(images), training=False).numpy().tolist()
    return dict(zip(photos, rows, strict=True))
