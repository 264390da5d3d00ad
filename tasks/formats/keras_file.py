"""One Keras file, which takes pixels and can be trained further."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.tasks.formats.base import Format, ModelContext, Scorer
from thaw.tasks.pictures.decoding import prepare


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
            pixels = tf.stack([prepare(tf.constant(image), context.input) for image in images])
            return np.asarray(model(pixels, training=False))

        return score

    def usage(self, context: ModelContext) -> str:
        """Show what `load` does, without thaw."""
        resolution = context.input.resolution
        words, code = _shrunk_and_cut(context.input)
        return f"""\
With Keras, for example to train it further. The model takes upright float32 RGB images of {resolution} × {resolution} \
pixels, 0 to 255, and expects them to be made as here: decoded as exactly as this, turned by the orientation that a \
camera notes in EXIF, {words}and resized bilinearly:

```python
import keras
import tensorflow as tf
from PIL import Image

model = keras.saving.load_model("{self.file}")
labels = open("labels.txt", encoding="utf-8").read().splitlines()
image = tf.io.decode_jpeg(tf.io.read_file("photo.jpg"), channels=3, dct_method="INTEGER_ACCURATE")
orientation = Image.open("photo.jpg").getexif().get(0x0112, 1)
image = tf.transpose(image, [1, 0, 2]) if orientation in (5, 6, 7, 8) else image
image = image[::-1] if orientation in (3, 4, 7, 8) else image
image = image[:, ::-1] if orientation in (2, 3, 6, 7) else image
{code}image = tf.image.resize(image, [{resolution}, {resolution}])
probability = model(image[None], training=False).numpy()[0]
print(labels[probability.argmax()], probability.max())
```
"""


def _shrunk_and_cut(how: Preprocessing) -> tuple[str, str]:
    """What happens to an image before it is resized, in words and in Python."""
    words = code = ""
    if how.max_side is not None:
        words += f"shrunk to a longer side of {how.max_side} if that is less, "
        code += f"""\
longer = max(image.shape[:2])
if longer > {how.max_side}:
    size = [max(1, (2 * side * {how.max_side} + longer) // (2 * longer)) for side in image.shape[:2]]
    image = tf.cast(tf.round(tf.image.resize(image, size, antialias=True)), tf.uint8)
"""
    if how.center_crop is not None:
        words += "cut to the central square, "
        code += f"""\
side = max(1, round(min(image.shape[:2]) * {how.center_crop}))
top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
image = image[top : top + side, left : left + side]
"""
    return words, code
