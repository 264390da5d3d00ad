"""Runs up to the comparison of features on images that need no files, with features that are drawn. No TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.preflight.made import dataset_of
from tests.support import WalkHere, small_recipe, without_cost, write_pictures
from thaw.flows.graph import GRAPH, Node
from thaw.pipeline_config.dataset_schema import SPLITS
from thaw.pipeline_config.schema import Recipe
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.ingest.dataset import DatasetImage, write_dataset
from thaw.tasks.ingest.step import DatasetFacts
from thaw.tasks.records.ids import ids_of
from thaw.tasks.records.step import RecordsFacts
from thaw.tasks.training.features.files import DOCUMENT_NAME, FeaturesDocument, id_bytes
from thaw.tasks.training.features.rows import RowsWriter, RowType, encode
from thaw.tasks.training.features.step import FeaturesFacts

UNTIL_COMPARED = GRAPH[: [node.name for node in GRAPH].index("feature_drift") + 1]


def recipe_of(data: Path, *, when: Any = "drifted", features: bool = True, **settings: Any) -> Recipe:
    """A recipe of which stage one keeps two views, and which compares features, unless `settings` say otherwise."""
    optimizer = {"name": "adam", "learning_rate": 0.01}
    one = {"resolution": 16, "train": "head", "epochs": 2, "feature_views": 2, "optimizer": optimizer} | settings
    return small_recipe(data, stage_one=one, retrain={"when": when, "features": features})


def folder_for(data: Path, found: Sequence[DatasetImage]) -> Path:
    """A folder whose content is another for other images; nobody reads what is in it."""
    if not data.exists():
        write_pictures(data, each=1)
        return data
    (data / "red" / f"{len(found)}.png").write_text(str(len(found)))
    return data


class Compared(WalkHere):
    """Goes as far as the comparison of features. Those of images whose number is 1,000 or more are moved by `shift`."""

    def __init__(
        self,
        recipe: Recipe,
        home: Path,
        found: Sequence[DatasetImage],
        shift: float = 0.0,
        shape: Sequence[int] = (8,),
        row_type: RowType = "float32",
        *,
        has_room: bool = True,
    ) -> None:
        super().__init__(recipe, home)
        self.found, self.shift, self.shape, self.row_type = found, shift, tuple(shape), row_type
        self.has_room = has_room
        self.go(UNTIL_COMPARED)

    def work(self, node: Node, missing: Sequence[tuple[Step, Path]], **request: Any) -> list[Made]:
        if node.name in ("preflight", "feature_drift"):
            return super().work(node, missing, **request)
        make_up = {"ingest": self._dataset, "records": self._records, "features_one": self._features}[node.name]
        return [without_cost(make_up(folder)) for _, folder in missing]

    def _dataset(self, folder: Path) -> DatasetFacts:
        dataset = dataset_of(self.found)
        write_dataset(folder, dataset.classes, dataset.images, duplicates=0, unreadable=[])
        counts = dict.fromkeys(SPLITS, 0)
        return DatasetFacts(classes=len(dataset.classes), examples=counts, duplicates=0, in_conflict=0, unreadable=0)

    def _records(self, folder: Path) -> RecordsFacts:
        ids = sorted(image.id for image in self.found)
        write_json(folder / "index.json", ids)
        counts = {split: sum(image.split == split for image in self.found) for split in SPLITS}
        return RecordsFacts(examples=counts, shards={}, bytes={})

    def _features(self, folder: Path) -> FeaturesFacts:
        document = FeaturesDocument(
            views=2 * self.has_room, shape=list(self.shape), type=self.row_type, decision="made up"
        )
        write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
        for split in ("train", "validation") if self.has_room else ():
            of_split = sorted((image for image in self.found if image.split == split), key=lambda image: image.id)
            *views, ids = document.files(split, len(of_split))
            for file in views:
                with RowsWriter(folder, file) as writer:
                    # Others, in which any new image would show a drift, are to be passed by.
                    shift = self.shift if file.name == "view-0.npy" else 99.0
                    for image in of_split:
                        writer.write(encode(self._row(image, shift), self.row_type)[None])
            with RowsWriter(folder, ids) as writer:
                writer.write(id_bytes(ids_of(image.id for image in of_split)))
        return FeaturesFacts(has_room=self.has_room, decision=document.decision, bytes=1)

    def _row(self, image: DatasetImage, shift: float) -> np.ndarray:
        number = int(Path(image.origin).stem)
        drawn = np.random.default_rng(number).normal(shift * (number >= 1000), 1, self.shape)
        return drawn.astype(np.float32)
