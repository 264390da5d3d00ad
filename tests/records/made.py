"""Records of small folders of pictures, for the tests of writing and of reading."""

import tensorflow as tf

from tests.ingest.pictures import Recorder, directory, ingest_step
from tests.support import build_here
from thaw.pipeline_config.dataset_schema import RecordsConfig
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import read_dataset
from thaw.tasks.ingest.step import IngestWork
from thaw.tasks.ingest.work import ingest
from thaw.tasks.records.read import SplitReader
from thaw.tasks.records.step import RecordsStep, RecordsWork
from thaw.tasks.records.work import write_records

COUNTS = {"train/cats": 9, "train/dogs": 7, "validation/cats": 3, "validation/dogs": 3, "test/cats": 2, "test/dogs": 4}
SMALL_SHARDS = RecordsConfig(shard_megabytes=0.002)  # two or three of these JPEGs


class Made:
    """A dataset artifact of a folder, and as many records folders of it as asked for."""

    def __init__(self, home, data):
        self.home, self.data = home, data
        self.store = Home.open(home).store
        self.dataset = build_here(home, ingest_step(directory(data)), IngestWork, ingest)

    def images(self):
        return read_dataset(self.store.folder(self.dataset)).images

    def records(self, name, config=SMALL_SHARDS, data=None, report=None):
        folder = self.home / name
        folder.mkdir()
        step = RecordsStep(dataset=self.dataset, source=directory(data or self.data), records=config)
        self.facts = write_records(RecordsWork(home=self.home, folder=folder, step=step), report or Recorder())
        return folder


def parse(payload):
    features = tf.train.Example.FromString(payload).features.feature
    return (
        features["image"].bytes_list.value[0],
        features["label"].int64_list.value[0],
        features["id"].bytes_list.value[0].decode(),
    )


def read_all(folder, split):
    with SplitReader(folder, split) as reader:
        return [reader.read(index) for index in range(reader.examples)]
