"""How bright test images are. TensorFlow; runs in a child process."""

from pathlib import Path

import tensorflow as tf

from thaw.tasks.evaluation.examples import read_example
from thaw.tasks.pictures.decoding import decode_upright
from thaw.tasks.records.read import SplitReader


def brightness_of(records: Path) -> list[float]:
    """Measure each test image, in the records' order: the mean of all values of its pixels, 0 to 255."""
    with SplitReader(records, "test") as test:
        examples = (read_example(test, index) for index in range(test.examples))
        return [float(decode_upright(tf.constant(example.encoded)).numpy().mean()) for example in examples]
