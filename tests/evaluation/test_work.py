"""The step's work on a small home folder: real records, a real model, every file of the artifact. With TensorFlow."""

import hashlib
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.evaluation.synthetic import PICTURES, write_history
from tests.support import without_cost
from thaw.pipeline_config.augment_schema import Augmentation, RandomFlip, RandomRotation
from thaw.pipeline_config.dataset_schema import DigitsSource, RecordsConfig
from thaw.pipeline_config.errors import ArtifactError, DatasetError, TrainingError
from thaw.pipeline_config.preprocessing import fit_of
from thaw.pipeline_config.schema import EvaluateConfig, ModelConfig
from thaw.pipeline_config.stage_schema import Adam, FromLayer, LastBlocks, StageConfig, StageStart
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.evaluation.step import EvaluateStep, EvaluateWork
from thaw.tasks.home import Home
from thaw.tasks.process import Reporter
from thaw.tasks.records.step import RecordsFacts, RecordsStep
from thaw.tasks.training.stage_facts import Measurement, StageFacts
from thaw.tasks.training.step import TrainStep

CLASSES = ["dark", "<b>light</b>"]
RESOLUTION = 8
COUNTS = {"train": 14, "validation": 4, "test": 11}


def make_png(label, number):
    """A noisy grey picture; the dark class is dark. Its sides differ from image to image."""
    random = np.random.default_rng([label, number])
    shape = (10 + number % 3, 12, 3)
    pixels = random.integers(0, 90, shape) + (150 if label else 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_split(folder, split, examples):
    import tensorflow as tf

    from thaw.tasks.records.index import Shard, SplitIndex, offsets_name, payload_places, shard_name

    if examples == 0:
        np.save(folder / offsets_name(split), np.zeros((0, 3), np.int64))
        return SplitIndex(examples=0, class_counts=[0, 0], shards=[])
    name = shard_name(split, 0, 1)
    lengths, counts = [], [0, 0]
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
        for number in range(examples):
            label = number % 2
            encoded = make_png(label, number + 1000 * len(split))
            features = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                "id": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[hashlib.sha256(encoded).hexdigest().encode()])
                ),
            }
            payload = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
            writer.write(payload)
            lengths.append(len(payload))
            counts[label] += 1
    np.save(folder / offsets_name(split), payload_places(0, lengths))
    content = (folder / name).read_bytes()
    shard = Shard(file=name, examples=examples, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return SplitIndex(examples=examples, class_counts=counts, shards=[shard])


def build_records(store, counts):
    from thaw.tasks.records.index import INDEX, RecordsIndex

    def fill(folder):
        splits = {split: write_split(folder, split, examples) for split, examples in counts.items()}
        write_json(folder / INDEX, RecordsIndex(classes=CLASSES, splits=splits).model_dump(mode="json"))
        return without_cost(RecordsFacts(examples=counts, shards=dict.fromkeys(counts, 1), bytes=counts))

    dataset = ArtifactRef(kind="dataset", digest=str(counts))
    step = RecordsStep(dataset=dataset, source=DigitsSource(kind="digits"), records=RecordsConfig())
    return store.build(step, fill)


def make_model(slope):
    """A model whose answer follows from the mean brightness: "light" above the middle."""
    import keras

    inputs = keras.Input((RESOLUTION, RESOLUTION, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    model.set_weights([np.array([[-slope, slope]] * 3, np.float32), np.array([0.5, -0.5], np.float32)])
    return model


def build_stage(store, records, name, train, slope=3.0):
    from thaw.tasks.training.stage_artifact import ARCHITECTURE_NAME, FACTS_NAME, WEIGHTS_NAME

    def fill(folder):
        history = write_history(folder / "history", 3, 0.6)
        (history / "history.parquet").rename(folder / "history.parquet")
        history.rmdir()
        model = make_model(slope)
        write_json(folder / ARCHITECTURE_NAME, json.loads(model.to_json()))
        model.save_weights(folder / WEIGHTS_NAME)
        facts = StageFacts(
            name=name,
            backbone="SmallCNN",
            fit=fit_of(RESOLUTION, []),
            classes=CLASSES,
            training_images=14,
            epochs=3,
            kept_epoch=2,
            before=Measurement(val_loss=0.4, val_accuracy=0.6),
            val_loss=0.2,
            val_accuracy=0.8,
            weights_sha256="ab" * 32,
            parameters=8,
            trainable_parameters=8,
            trainable_tensors=2,
        )
        write_json(folder / FACTS_NAME, facts.model_dump(mode="json"))
        return without_cost(facts)

    step = TrainStep(
        name=name,
        records=records,
        model=ModelConfig(backbone="SmallCNN"),
        stage=make_settings(train),
        seed=int(abs(slope) * 10) if np.isfinite(slope) else 0,
    )
    return store.build(step, fill)


def make_settings(train):
    stage = StageConfig(train=train, epochs=3, optimizer=Adam(name="adam", learning_rate=0.001))
    operations: list[Augmentation] = [
        RandomFlip(name="random_flip"),
        RandomRotation(name="random_rotation", factor=0.1),
    ]
    start = StageStart(random_backbone=True, random_head=True, head_batch_norm=False, resolution=RESOLUTION)
    return stage.resolve(operations, start, "stage_one")


def build_home(home, counts=COUNTS, slope=3.0):
    store = Home.open(home).store
    records = build_records(store, counts)
    return EvaluateStep(
        recipe_name="shades",
        records=records,
        stage_one_settings=make_settings("all"),
        stage_two_settings=make_settings(LastBlocks(last_blocks=1)),
        stage_one=build_stage(store, records, "stage_one", "all"),
        stage_two=build_stage(store, records, "stage_two", LastBlocks(last_blocks=1), slope),
        temperature=1.0,
        evaluate=EvaluateConfig(batch_size=4),
        seed=5,
    )


def run(home, folder, step):
    from thaw.tasks.evaluation.work import evaluate

    folder.mkdir()
    lines = io.StringIO()
    facts = evaluate(EvaluateWork(home=home, folder=folder, step=step), Reporter(lines))
    return facts, [json.loads(line) for line in lines.getvalue().splitlines()]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    base = tmp_path_factory.mktemp("evaluation")
    step = build_home(base / "home")
    facts, lines = run(base / "home", base / "made", step)
    return base, step, facts, lines


def test_the_artifact_holds_what_the_design_names(evaluation):
    folder = evaluation[0] / "made"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "predictions.parquet",
        "metrics.json",
        "history.parquet",
        "report.html",
        *(f"pictures/{name}.png" for name in PICTURES),
    }


def test_predictions_are_the_models_own_for_each_image_in_the_order_of_the_records(evaluation):
    table = pq.read_table(evaluation[0] / "made" / "predictions.parquet")
    encoded = [make_png(number % 2, number + 4000) for number in range(11)]
    assert table["id"].to_pylist() == [hashlib.sha256(content).hexdigest() for content in encoded]
    assert table["label"].to_pylist() == [number % 2 for number in range(11)]
    # The images are small, so the resized mean differs a little from the whole image's.
    means = np.array([np.asarray(Image.open(io.BytesIO(content))).mean() for content in encoded])
    light = 1 / (1 + np.exp(-(18 * (means / 127.5 - 1) - 1)))
    measured = [row[1] for row in table["probabilities"].to_pylist()]
    np.testing.assert_allclose(measured, light, atol=0.05)


def test_metrics_and_facts_agree_with_the_predictions(evaluation):
    base, _, facts, _ = evaluation
    metrics = json.loads((base / "made" / "metrics.json").read_text())["test"]
    table = pq.read_table(base / "made" / "predictions.parquet")
    assert metrics["examples"] == 11
    assert metrics["accuracy"] == (table["label"].to_numpy() == table["predicted"].to_numpy()).mean()
    assert metrics["loss"] == table["loss"].to_numpy().mean()
    test = facts.test.model_dump(mode="json", exclude_none=True)
    assert test == {name: metrics[name] for name in test}
    assert {"examples", "accuracy", "accuracy_ci", "loss"} <= set(test)


def test_the_history_of_both_stages_is_there(evaluation):
    history = pq.read_table(evaluation[0] / "made" / "history.parquet")
    assert history["stage"].to_pylist() == ["stage_one"] * 4 + ["stage_two"] * 4
    assert history["loss"][0].as_py() is None


def test_the_report_tells_what_was_trained_and_escapes_the_class_names(evaluation):
    report = (evaluation[0] / "made" / "report.html").read_text()
    assert "the whole network" in report
    assert "the last block and the head" in report
    assert "&lt;b&gt;light&lt;/b&gt;" in report
    assert CLASSES[1] not in report


def test_the_progress_ends_at_all_images_and_the_log_has_the_result(evaluation):
    progress = [line["progress"] for line in evaluation[3] if "progress" in line]
    assert [step["done"] for step in progress] == sorted(step["done"] for step in progress)
    assert progress[-1] == {"done": 1.0, "text": "11 of 11 images"}
    assert next(line["log"] for line in evaluation[3] if "log" in line).startswith("test accuracy ")


def test_another_run_in_another_folder_makes_the_same_bytes(evaluation, tmp_path):
    base, step, facts, _ = evaluation
    again, _ = run(base / "home", tmp_path / "again", step)
    made = sorted(path for path in (base / "made").rglob("*") if path.is_file())
    assert [path.name for path in made if path.read_bytes() != again_bytes(path, base, tmp_path)] == []
    assert again == facts


def again_bytes(path, base, tmp_path):
    return (tmp_path / "again" / path.relative_to(base / "made")).read_bytes()


def test_a_test_split_without_images_is_an_error(tmp_path):
    step = build_home(tmp_path / "home", {**COUNTS, "test": 0})
    with pytest.raises(DatasetError, match="test split has no images"):
        run(tmp_path / "home", tmp_path / "made", step)


def test_a_model_that_answers_nonsense_is_an_error(tmp_path):
    step = build_home(tmp_path / "home", slope=float("nan"))
    with pytest.raises(TrainingError, match="not finite for test image"):
        run(tmp_path / "home", tmp_path / "made", step)


def test_a_damaged_input_is_an_error_that_names_the_file(tmp_path):
    step = build_home(tmp_path / "home")
    weights = Home.open(tmp_path / "home").store.folder(step.stage_two) / "model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.weights\.h5"):
        run(tmp_path / "home", tmp_path / "made", step)


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
    from thaw.tasks.evaluation.training_story import describe

    assert describe(train) == words


def test_nine_augmentations_are_nine_different_images_by_the_seed():
    from thaw.tasks.evaluation.examples import augmentations

    operations = [RandomRotation(name="random_rotation", factor=0.4)]
    nine = augmentations(make_png(1, 0), 7, 16, operations)
    assert {(image.shape, image.dtype.name) for image in nine} == {((16, 16, 3), "uint8")}
    assert len({image.tobytes() for image in nine}) == 9
    again = augmentations(make_png(1, 0), 7, 16, operations)
    assert [image.tobytes() for image in again] == [image.tobytes() for image in nine]
    assert augmentations(make_png(1, 0), 8, 16, operations)[0].tobytes() != nine[0].tobytes()
