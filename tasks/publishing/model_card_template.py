"""The text of the model card, a Jinja template.

It is a Python string, not a file of its own, because a step's cache key follows the Python sources: a card whose text
changed must be written anew.
"""

TEMPLATE = """\
---
{{ metadata | safe }}---

# {{ release.id }}

An image classifier for {{ release.classes | length }} classes: {{ named | safe }}. It was trained in two stages by thaw
{{ release.thaw }} from the recipe `{{ release.recipe }}`, and classifies {{ percent(release.test.accuracy) }} of the \
test images rightly.

## Results

On {{ release.test.examples }} test images, which had no part in training:

| metric | value |
|---|---|
| accuracy | {{ number(release.test.accuracy) }} |
| {{ short(metrics.confidence * 100) }} % interval of the accuracy (Wilson) | \
{{ number(release.test.accuracy_ci[0]) }} to {{ number(release.test.accuracy_ci[1]) }} |
{% if metrics.get("top_5_accuracy") is not none -%}
| top-5 accuracy | {{ number(metrics.top_5_accuracy) }} |
{% endif -%}
| loss (cross-entropy) | {{ number(metrics.loss) }} |
| expected calibration error | {{ number(metrics.expected_calibration_error) }} |
| loss and calibration error with temperature 1 instead of {{ short(metrics.temperature) }} | \
{{ number(metrics.uncalibrated.loss) }} and {{ number(metrics.uncalibrated.expected_calibration_error) }} |

{{ verdict.reason | md }}

| class | test images | precision | recall | F1 |
|---|---|---|---|---|
{% for row in metrics.per_class -%}
| {{ row["class"] | md }} | {{ row.examples }} | {{ number(row.precision) }} | {{ number(row.recall) }} | \
{{ number(row.f1) }} |
{% endfor %}
{% if verdict.slices -%}
| part of the test images | images | accuracy | interval | points beside the champion, interval |
|---|---|---|---|---|
{% for row in verdict.slices -%}
| {{ row.name | md }}: {{ row.value | md }} | {{ row.images }} | {{ number(row.accuracy) }} | \
{{ number(row.accuracy_ci[0]) }} to {{ number(row.accuracy_ci[1]) }} | \
{% if row.compared and row.compared.images %}{{ points(row.compared.difference) }}, \
{{ points(row.compared.difference_ci[0]) }} to {{ points(row.compared.difference_ci[1]) }}{% else %}–{% endif %} |
{% endfor %}
{% endif -%}
What each stage earned, on the same images:

| weights | resolution | test accuracy | interval | points to the row above |
|---|---|---|---|---|
{% for name, tried, gain in tested.steps -%}
| {{ name }} | {{ tried.resolution }} px | {{ number(tried.accuracy) }} | {{ number(tried.accuracy_ci[0]) }} to \
{{ number(tried.accuracy_ci[1]) }} | {{ gain or "" }} |
{% endfor %}
Stage two over stage one, each at its own resolution: {{ tested.earned }}. {{ tested.earned.conclusion }}
{% if choice %}
{{ choice | md }}
{% endif %}
`report.html` shows how it compares, image by image, the learning curves, the confusion matrix and the worst mistakes;
`metrics.json` holds all numbers; `predictions.parquet` holds one row per test image, with the name of its file.

## Intended use

To sort images that are like those it was trained on into the classes above. Every image gets one of them, also an image
that shows none of them, so a low probability, or a check of what comes in, has to stand between it and a decision that
matters.
{% if release.abstain is not none %}
{% set abstain = release.abstain -%}
{% if abstain.validation.answered -%}
An answer counts if its probability is above {{ short(abstain.threshold) }}: validation images show, at \
{{ percent(abstain.confidence) }} confidence, that {{ percent(abstain.right) }} of such answers are right. Of the \
{{ abstain.test.images }} test images it answers {{ abstain.test.answered }} so, {{ abstain.test.correct }} of them \
rightly. All other answers are unsure, as `thaw predict` says.
{% else -%}
Every answer is unsure: of no probability do validation images show, at {{ percent(abstain.confidence) }} confidence, \
that {{ percent(abstain.right) }} of the answers above it are right.
{% endif -%}
{% endif %}
## Limits

- Accuracy is known for images from the same source as the training images. On others, such as another camera or
  another country, measure it first.
- The interval covers the chance in the choice of test images, not a difference between them and the images to come.
- Releases of one recipe are compared on the test images, so the accuracy of the best of many is a little too high.
{%- if verdict.looks %} These images have judged {{ verdict.looks.before + 1 }} of its models so far
{%- if verdict.champion %}, {{ verdict.looks.among }} of them beside the same champion{% endif %}.{% endif %}
- A probability is not the share of right answers unless the calibration in `report.html` shows it.
{% for format in formats -%}
{{ format.limits(context) | safe }}
{%- endfor %}
## How to use it

Run in this folder, with an image file named `photo.jpg`.
{% for format in formats %}
{{ format.usage(context) | safe }}
{%- endfor %}
`sha256sum -c SHA256SUMS` checks that no file was altered.

## How it was trained

{{ recipe.model.backbone }}, {{ start }}, with a dropout of {{ recipe.model.dropout }} before the last layer; seed \
{{ recipe.seed }}. `recipe.yaml` is the whole recipe.

| stage | resolution | what learns | epochs | kept epoch | optimizer | validation accuracy before | after |
|---|---|---|---|---|---|---|---|
{% for config, stage in configs_and_stages -%}
| {{ stage.name }} | {{ stage.fit.resolution }} px | {{ trained(config.train) | md }} | {{ stage.epochs }} | \
{{ stage.kept_epoch }} | {{ config.optimizer.name }}, {{ short(config.optimizer.learning_rate) }} | \
{{ number(stage.before.val_accuracy) }} | {{ number(stage.val_accuracy) }} |
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
