"""The model card: `README.md`, with the metadata block that model hubs read. No TensorFlow.

The block follows the Hugging Face Hub's specification (hub-docs, modelcard.md). The keys `license`, `datasets` and
`base_model` are left out: they name things that the pipeline does not know.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.stage_schema import FromLayer, LastBlocks, StageConfig
from thaw.tasks.publishing.formats.base import Format, ModelContext
from thaw.tasks.publishing.model_card_template import TEMPLATE
from thaw.tasks.releases.release import Release
from thaw.tasks.releases.verdict import Verdict

_TASK = "image-classification"
_CLASSES_NAMED = 10  # in the opening sentence; the tables name them all


@dataclass(frozen=True)
class CardFacts:
    """What the card is written from.

    Attributes:
        release: What the release says about itself.
        recipe: The recipe, resolved.
        verdict: The comparison.
        metrics: The test split's part of `metrics.json`.
        counts: Numbers of images by split, then by class name.
        stages: The contents of both stages' `stage.json`, in order.
        formats: Those that the release holds, in the order in which they are to be shown.
    """

    release: Release
    recipe: Recipe
    verdict: Verdict
    metrics: Mapping[str, Any]
    counts: Mapping[str, Mapping[str, int]]
    stages: Sequence[Mapping[str, Any]]
    formats: Sequence[Format]


def write_card(facts: CardFacts) -> str:
    """Write the model card: Markdown, opened by the metadata block."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["md"] = _plain
    recipe, release = facts.recipe, facts.release
    configs = (recipe.stage_one, recipe.stage_two)
    text: str = environment.from_string(TEMPLATE).render(
        metadata=yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True),
        release=release,
        verdict=facts.verdict,
        class_list=_class_list(release.classes),
        confidence=f"{facts.metrics['confidence'] * 100:g}",
        loss=facts.metrics["loss"],
        top_5=facts.metrics.get("top_5_accuracy"),
        per_class=facts.metrics["per_class"],
        formats=facts.formats,
        context=ModelContext.of(release),
        backbone=recipe.model.backbone,
        start=_start(recipe.model.weights),
        dropout=recipe.model.dropout,
        seed=recipe.seed,
        stages=[_stage_row(config, stage) for config, stage in zip(configs, facts.stages, strict=True)],
        counts=facts.counts,
        number=lambda value: f"{value:.4f}",
        percent=lambda value: f"{value * 100:.1f} %",
    )
    return text


def _metadata(facts: CardFacts) -> dict[str, Any]:
    release = facts.release
    source = facts.recipe.dataset.source.kind
    metrics = [{"type": "accuracy", "name": "Test accuracy", "value": release.test.accuracy}]
    dataset = {"name": f"{release.recipe} ({source})", "type": source, "split": "test"}
    result = {"task": {"type": _TASK, "name": "Image Classification"}, "dataset": dataset, "metrics": metrics}
    return {
        "library_name": "keras",
        "pipeline_tag": _TASK,
        "tags": [_TASK, "keras", "tensorflow", "transfer-learning", "thaw"],
        "metrics": ["accuracy"],
        "model-index": [{"name": release.id, "results": [result]}],
    }


def _stage_row(config: StageConfig, stage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **stage,
        "trained": _trained(config),
        "optimizer": f"{config.optimizer.name}, {config.optimizer.learning_rate:g}",
        "before": stage["before"]["val_accuracy"],
        "after": stage["val_accuracy"],
    }


def _trained(config: StageConfig) -> str:
    if isinstance(config.train, FromLayer):
        return f"layer {config.train.from_layer} and all after it"
    if isinstance(config.train, LastBlocks):
        blocks = "block" if config.train.last_blocks == 1 else f"{config.train.last_blocks} blocks"
        return f"the last {blocks} and the head"
    return {"all": "all layers", "head": "the head", "last_batch_norm": "the last batch norm and the head"}[
        config.train
    ]


def _start(weights: str | None) -> str:
    if weights is None:
        return "from random weights"
    return "from ImageNet weights" if weights == "imagenet" else "from weights in a file"


def _class_list(classes: Sequence[str]) -> Markup:
    named = [_plain(name) for name in classes[:_CLASSES_NAMED]]
    more = len(classes) - len(named)
    return Markup(", ").join(named) + (f" and {more} more" if more else "")


def _plain(text: str) -> Markup:
    # A class may be named after anything that a folder can be: nothing in its name is to act as Markdown or HTML.
    escaped = html.escape(" ".join(text.split()), quote=False)
    return Markup(re.sub(r"([\\`*_\[\]|~])", r"\\\1", escaped))  # noqa: S704 (it is escaped here)
