"""Compare what frozen layers put out for new images and for those that a release learned from; runs in a child process.

No TensorFlow: the rows are there. Only images for training are taken, because those for validation were seen without
augmentation, and of each image one view.
"""

import numpy as np
from numpy.typing import NDArray

from thaw.tasks.artifacts.store import write_json
from thaw.tasks.feature_drift.discrepancy import maximum_mean_discrepancy
from thaw.tasks.feature_drift.step import FeatureDriftWork
from thaw.tasks.home import Home
from thaw.tasks.preflight.drift import FEWEST_IMAGES, level_of_each
from thaw.tasks.preflight.known import read_known
from thaw.tasks.process import Reporter
from thaw.tasks.releases.learned_from import prefix
from thaw.tasks.releases.preflight import FEATURE_DRIFT_NAME, Drift, FeatureDriftFacts
from thaw.tasks.training.features.files import FeatureReader, id_bytes, open_features
from thaw.tasks.training.features.rows import decode

MOST_IMAGES = 1_000  # of either side: with them, the test takes a second or two
_ROWS_AT_A_TIME = 16  # of up to some megabytes each

_NOTHING_IS_KEPT = (
    "retrain.features: what stage one's frozen layers put out is not kept, so it is not compared. To have it kept, set "
    "stage_one.feature_views to a number, such as 4, unless features_one says what else stands in the way."
)


def compare_features(work: FeatureDriftWork, report: Reporter) -> FeatureDriftFacts:
    """Say whether the features of the images that were added are of another distribution.

    Raises:
        ArtifactError: The features are gone or damaged.
        PublishError: The champion is missing or damaged.
    """
    step = work.step
    reader = open_features(work.home.store, step.features_key, "feature_drift")
    if reader is None:
        facts = FeatureDriftFacts(drift=None, not_tested="none are kept", warnings=[_NOTHING_IS_KEPT])
    else:
        with reader:
            facts = _compare(work.home, step.champion, reader, level_of_each(step.confidence, features=True))
    report.log(facts.sentence)
    for warning in facts.warnings:
        report.warn(warning)
    write_json(work.folder / FEATURE_DRIFT_NAME, facts.model_dump(mode="json"))
    return facts


def _compare(home: Home, champion: str, reader: FeatureReader, level: float) -> FeatureDriftFacts:
    learned, added = _sides(home, champion, reader.ids["train"])
    if min(len(learned), len(added)) < FEWEST_IMAGES:
        counts = f"{len(learned):,} from which {champion} learned, and {len(added):,} new ones"
        too_few = f"it takes {FEWEST_IMAGES} images for training of either kind, and there are {counts}"
        return FeatureDriftFacts(drift=None, not_tested=too_few)
    statistic, p_value = maximum_mean_discrepancy(_pooled(reader, learned), _pooled(reader, added))
    test = "maximum mean discrepancy, by permutation"
    drift = Drift(of="features", test=test, statistic=statistic, p_value=p_value, level=level)
    return FeatureDriftFacts(drift=drift, warnings=[drift.sentence] if drift.is_shown else [])


def _sides(home: Home, champion: str, ids: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the images that the champion learned from, and those that it has not seen: their positions among the ids.

    Ids are in ascending order and follow from the content of the image, so the first ones are a sample as good as any.
    """
    known = read_known(home, champion)
    seen = {} if known is None else known.images
    prefixes = [prefix(row.tobytes().hex()) for row in id_bytes(ids)]
    learned = [place for place, key in enumerate(prefixes) if key in seen and seen[key].split != "test"]
    added = [place for place, key in enumerate(prefixes) if key not in seen]
    return np.asarray(learned[:MOST_IMAGES], np.int64), np.asarray(added[:MOST_IMAGES], np.int64)


def _pooled(reader: FeatureReader, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read the features of some images for training, float32 (images, channels): of a feature map, the means."""
    parts = []
    for start in range(0, len(positions), _ROWS_AT_A_TIME):
        kept = reader.read("train", 0, positions[start : start + _ROWS_AT_A_TIME])
        rows = decode(kept, reader.type)
        parts.append(rows.reshape(len(rows), -1, rows.shape[-1]).mean(axis=1))
    return np.concatenate(parts)
