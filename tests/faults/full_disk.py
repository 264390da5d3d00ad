"""What the process of `test_full_disk` runs: every library that writes for thaw, where files may not grow further."""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thaw.tasks.artifacts.refusals import full_disk
from thaw.tasks.process import Reporter, Work

_ROOM = 200_000  # bytes a file
_NUMBERS = 100_000


def fill(work: Work, report: Reporter) -> None:
    """Fail as a step does, whose process then says why."""
    del report
    _limit()
    _text(work.folder / "text")


def fill_with_each(work: Work, report: Reporter) -> dict[str, str]:
    """What would be said of each library's error."""
    del report
    _limit()
    return {name: _message(write, work.folder / name) for name, write in WRITERS.items()}


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, resource.RLIM_INFINITY))


def _message(write: Callable[[Path], None], folder: Path) -> str:
    folder.mkdir()
    try:
        write(folder / folder.name)
    except Exception as error:  # noqa: BLE001 (of any kind: that is the point)
        return str(full_disk(error, folder))
    return "nothing was refused"


def _model() -> Any:
    import keras

    return keras.Sequential([keras.Input((100,)), keras.layers.Dense(1000)])


def _weights(path: Path) -> None:
    _model().save_weights(f"{path}.weights.h5")


def _keras(path: Path) -> None:
    _model().save(f"{path}.keras")


def _saved_model(path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.variables_of_model = [variable.value for variable in _model().variables]
    tf.saved_model.save(module, str(path))


def _records(path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(100):
            writer.write(os.urandom(10_000))


def _parquet(path: Path) -> None:
    import numpy as np
    import pyarrow as pa

    from thaw.tasks.evaluation.predictions import write_table

    write_table(pa.table({"numbers": np.random.default_rng(0).random(_NUMBERS)}), path)


def _array(path: Path) -> None:
    import numpy as np

    np.save(path, np.random.default_rng(0).random(_NUMBERS))


def _picture(path: Path) -> None:
    import numpy as np
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)).save(path, format="png")


def _text(path: Path) -> None:
    path.write_text("x" * (2 * _ROOM), encoding="utf-8")


WRITERS: dict[str, Callable[[Path], None]] = {
    "weights": _weights,
    "keras": _keras,
    "saved_model": _saved_model,
    "records": _records,
    "parquet": _parquet,
    "array": _array,
    "picture": _picture,
    "text": _text,
}
