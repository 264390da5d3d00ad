"""One Keras file, which takes pixels and can be trained further."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.tasks.publishing.formats.base import Format, ModelContext, Scorer
from thaw.tasks.publishing.formats.pixels import to_pixels


class KerasFile(Format):
    """`model.keras`."""

    name: ClassVar[str] = "keras"
    file: ClassVar[str] = "model.keras"

    def export(self, model: keras.Model, folder: Path, context: ModelContext) -> None:
        """Write the model as it is."""
        del context
        model.save(folder / self.file)

    def load(self, folder: Path, context: ModelContext) -> Scorer:
        """Load the model, and see to the pixels outside of it."""
        model = keras.saving.load_model(folder / self.file, compile=False, safe_mode=True)

        def score(images: Sequence[bytes]) -> NDArray[np.float32]:
            pixels = tf.stack([to_pixels(tf.constant(image), context) for image in images])
            probabilities: NDArray[np.float32] = model(pixels, training=False).numpy()
            return probabilities

        return score

    def usage(self, context: ModelContext) -> str:
        """Show what `load` does, without thaw."""
        resolution, fraction = context.input.resolution, context.input.center_crop
        crop = ""
        if fraction is not None:
            crop = f"""\
side = max(1, round(min(image.shape[:2]) * {fraction}))
top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
image = image[top : top + side, left : left + side]
"""
        return f"""\
With Keras, for example to train it further. The model takes float32 RGB images of {resolution} × {resolution} pixels, \
0 to 255:

```python
import keras
import tensorflow as tf

model = keras.saving.load_model("{self.file}")
labels = open("labels.txt", encoding="utf-8").read().splitlines()
image = tf.io.decode_jpeg(tf.io.read_file("photo.jpg"), channels=3, dct_method="INTEGER_ACCURATE")
{crop}image = tf.image.resize(image, [{resolution}, {resolution}])
probability = model(image[None], training=False).numpy()[0]
print(labels[probability.argmax()], probability.max())
```
"""
