"""A small home folder to judge in: records of dark and light pictures, and two stages that tell them apart."""

import hashlib
import io
import json

import numpy as np
from PIL import Image

from tests.report.synthetic import write_history
from tests.support import without_cost
from thaw.pipeline_config.augment_schema import Augmentation, RandomFlip, RandomRotation
from thaw.pipeline_config.dataset_schema import DigitsSource, RecordsConfig
from thaw.pipeline_config.preprocessing import fit_of
from thaw.pipeline_config.schema import EvaluateConfig, ModelConfig
from thaw.pipeline_config.stage_schema import Adam, LastBlocks, StageConfig, StageStart
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.evaluation.step import EvaluateStep
from thaw.tasks.home import Home
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

    from thaw.tasks.records.ids import ids_of
    from thaw.tasks.records.index import ROW, Shard, SplitIndex, shard_name, table_name, table_of_shard

    if examples == 0:
        np.save(folder / table_name(split), np.zeros(0, ROW))
        return SplitIndex(examples=0, class_counts=[0, 0], shards=[])
    name = shard_name(split, 0, 1)
    ids, labels, lengths = [], [], []
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
        for number in range(examples):
            label = number % 2
            encoded = make_png(label, number + 1000 * len(split))
            ids.append(hashlib.sha256(encoded).hexdigest())
            labels.append(label)
            features = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[ids[-1].encode()])),
            }
            payload = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
            writer.write(payload)
            lengths.append(len(payload))
    np.save(folder / table_name(split), table_of_shard(0, ids_of(ids), labels, lengths))
    content = (folder / name).read_bytes()
    shard = Shard(file=name, examples=examples, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return SplitIndex(examples=examples, class_counts=np.bincount(labels, minlength=2).tolist(), shards=[shard])


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
        records=records,
        stage_one=build_stage(store, records, "stage_one", "all"),
        stage_two=build_stage(store, records, "stage_two", LastBlocks(last_blocks=1), slope),
        judged="stage_two",
        temperature=1.0,
        evaluate=EvaluateConfig(batch_size=4),
    )
