"""The text of the model card, a Jinja template.

It is a Python string, not a file of its own, because a step's cache key follows the Python sources: a card whose text
changed must be written anew.
"""

TEMPLATE = """\
---
{{ metadata | safe }}---

# {{ release.id }}

An image classifier for {{ release.classes | length }} classes: {{ class_list }}. It was trained in two stages by thaw
{{ release.thaw }} from the recipe `{{ release.recipe }}`, and classifies {{ percent(release.test.accuracy) }} of the \
test images rightly.

## Results

On {{ release.test.examples }} test images, which had no part in training:

| metric | value |
|---|---|
| accuracy | {{ number(release.test.accuracy) }} |
| {{ confidence }} % interval of the accuracy (Wilson) | {{ number(release.test.accuracy_ci[0]) }} to \
{{ number(release.test.accuracy_ci[1]) }} |
{% if top_5 is not none -%}
| top-5 accuracy | {{ number(top_5) }} |
{% endif -%}
| loss (cross-entropy) | {{ number(loss) }} |

{{ verdict.reason | md }}

| class | test images | precision | recall | F1 |
|---|---|---|---|---|
{% for row in per_class -%}
| {{ row["class"] | md }} | {{ row.examples }} | {{ number(row.precision) }} | {{ number(row.recall) }} | \
{{ number(row.f1) }} |
{% endfor %}
`report.html` shows the learning curves, the confusion matrix and the worst mistakes; `metrics.json` holds all numbers;
`predictions.parquet` holds one row per test image.

## Intended use

To sort images that are like those it was trained on into the classes above. Every image gets one of them, also an image
that shows none of them, so a low probability, or a check of what comes in, has to stand between it and a decision that
matters.

## Limits

- Accuracy is known for images from the same source as the training images. On others, such as another camera or
  another country, measure it first.
- The interval covers the chance in the choice of test images, not a difference between them and the images to come.
- Releases of one recipe are compared on the test images, so the accuracy of the best of many is a little too high.
- A probability is not the share of right answers unless the calibration in `report.html` shows it.
{% if "saved_model" in formats -%}
- The SavedModel reads JPEG, PNG, BMP and GIF (its first frame). It does not apply the orientation that a camera notes
  in EXIF, and expects grey or RGB; `thaw predict` sees to that, and to WebP, before it asks the model.
{% endif %}
## How to use it

Run in this folder, with an image file named `photo.jpg`.
{% if "saved_model" in formats %}
With TensorFlow alone; decoding and resizing are inside:

```python
import tensorflow as tf

model = tf.saved_model.load("saved_model")
classify = model.signatures["serving_default"]
answer = classify(image_bytes=tf.constant([tf.io.read_file("photo.jpg").numpy()]))
print(answer["class_name"].numpy()[0].decode(), answer["probability"].numpy()[0].max())
```
{% endif %}
{%- if "keras" in formats %}
With Keras, for example to train it further. The model takes float32 RGB images of {{ release.input.resolution }} × \
{{ release.input.resolution }} pixels, 0 to 255:

```python
import keras
import tensorflow as tf

model = keras.saving.load_model("model.keras")
labels = open("labels.txt", encoding="utf-8").read().splitlines()
image = tf.io.decode_jpeg(tf.io.read_file("photo.jpg"), channels=3, dct_method="INTEGER_ACCURATE")
{% if release.input.center_crop is not none -%}
side = max(1, round(min(image.shape[:2]) * {{ release.input.center_crop }}))
top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
image = image[top : top + side, left : left + side]
{% endif -%}
image = tf.image.resize(image, [{{ release.input.resolution }}, {{ release.input.resolution }}])
probability = model(image[None], training=False).numpy()[0]
print(labels[probability.argmax()], probability.max())
```
{% endif %}
`sha256sum -c SHA256SUMS` checks that no file was altered.

## How it was trained

{{ backbone }}, {{ start }}, with a dropout of {{ dropout }} before the last layer; seed {{ seed }}. `recipe.yaml` is \
the whole recipe.

| stage | resolution | what learns | epochs | kept epoch | optimizer | validation accuracy before | after |
|---|---|---|---|---|---|---|---|
{% for stage in stages -%}
| {{ stage.name }} | {{ stage.resolution }} px | {{ stage.trained | md }} | {{ stage.epochs }} | \
{{ stage.kept_epoch }} | {{ stage.optimizer }} | {{ number(stage.before) }} | {{ number(stage.after) }} |
{% endfor %}
## What it was made from

| class |{% for split in counts %} {{ split }} |{% endfor %}
|---|{% for split in counts %}---|{% endfor %}
{% for name in release.classes -%}
| {{ name | md }} |{% for split in counts.values() %} {{ split[name] }} |{% endfor %}
{% endfor %}
| made from | kind | digest |
|---|---|---|
{% for name, source in release.made_from.items() -%}
| {{ name }} | {{ source.kind }} | `{{ source.digest }}` |
{% endfor %}
{% for name, version in release.libraries.items() -%}
{{ name }} {{ version }}{{ ", " if not loop.last else "." }}
{%- endfor %}
"""
