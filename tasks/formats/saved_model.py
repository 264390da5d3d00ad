"""A SavedModel that takes encoded images and names their classes, for TensorFlow alone and TensorFlow Serving.

Its `serving_default` takes `image_bytes`, string (batch,), the contents of image files, and gives
`class_name`, string (batch,), `class_index`, int32 (batch,), and `probability`, float32 (batch, classes).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.tasks.formats.base import Format, ModelContext, Scorer
from thaw.tasks.pictures.decoding import prepare

_INPUT_NAME = "image_bytes"
_ENDPOINT = "serving_default"  # the name that TensorFlow Serving, and everyone else, looks for


class SavedModel(Format):
    """The folder `saved_model`."""

    name: ClassVar[str] = "saved_model"
    file: ClassVar[str] = "saved_model"

    def export(self, model: keras.Model, folder: Path, context: ModelContext) -> None:
        """Write the model with all that comes before it inside."""
        resolution = context.input.resolution
        names = tf.constant(list(context.classes))
        pixels = tf.TensorSpec([resolution, resolution, 3], tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=_INPUT_NAME)], autograph=False)
        def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            images = tf.map_fn(lambda encoded: prepare(encoded, context.input), image_bytes, fn_output_signature=pixels)
            probability = model(images, training=False)
            index = tf.argmax(probability, axis=-1, output_type=tf.int32)
            return {"class_name": tf.gather(names, index), "class_index": index, "probability": probability}

        # Not keras.export.ExportArchive, which writes the graph of every layer besides: of MobileNetV2 twice the bytes,
        # in twice the time, and two and a half times as long to load.
        module = tf.Module()
        module.variables_of_model = [variable.value for variable in model.variables]
        tf.saved_model.save(module, str(folder / self.file), signatures={_ENDPOINT: classify})

    def load(self, folder: Path, context: ModelContext) -> Scorer:
        """Load the folder; it knows its classes and its input by itself."""
        del context
        loaded = tf.saved_model.load(str(folder / self.file))

        def score(images: Sequence[bytes]) -> NDArray[np.float32]:
            # Through `loaded`, which owns the variables, and must live as long as they are used.
            answer = loaded.signatures[_ENDPOINT](**{_INPUT_NAME: tf.constant(images)})
            return np.asarray(answer["probability"])

        return score

    def usage(self, context: ModelContext) -> str:
        """Show what `load` does, without thaw."""
        del context
        return f"""\
With TensorFlow alone; decoding, turning and resizing are inside:

```python
import tensorflow as tf

model = tf.saved_model.load("{self.file}")
classify = model.signatures["{_ENDPOINT}"]
answer = classify({_INPUT_NAME}=tf.constant([tf.io.read_file("photo.jpg").numpy()]))
print(answer["class_name"].numpy()[0].decode(), answer["probability"].numpy()[0].max())
```
"""

    def limits(self, context: ModelContext) -> str:
        """Name what it reads, and what it leaves to others."""
        del context
        return """\
- The SavedModel reads JPEG, which it turns by the orientation that a camera notes in EXIF, PNG, GIF (its first frame),
  BMP with 24 or 32 bits a pixel, and WebP without transparency, animation or orientation. `thaw predict` reads all
  kinds of BMP and WebP.
"""
