"""The model card: `README.md`, with the metadata block that model hubs read. No TensorFlow.

The block follows the Hugging Face Hub's specification (hub-docs, modelcard.md). The keys `license`, `datasets` and
`base_model` are left out: they name things that the pipeline does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import yaml

from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.stage_schema import FromLayer, LastBlocks, Train
from thaw.tasks.evaluation.earned import StagesTested
from thaw.tasks.formats.base import Format, ModelContext
from thaw.tasks.ingest.sources.base import listed
from thaw.tasks.publishing.model_card_template import TEMPLATE
from thaw.tasks.releases.release import Release
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.report.markdown import escaped

_TASK = "image-classification"
_CLASSES_NAMED = 10  # in the opening sentence; the tables name them all
_STARTS = {None: "from random weights", "imagenet": "from ImageNet weights"}
_TRAINED = {"all": "all layers", "head": "the head", "last_batch_norm": "the last batch norm and the head"}


@dataclass(frozen=True)
class CardFacts:
    """What the card is written from: the recipe is resolved.

    `metrics` and `tested` are the test split's part of `metrics.json` and the stages', `counts` has numbers of images
    by split, then by class name, and `stages` the contents of both stages' `stage.json`. The formats are shown in their
    order here; `choice` says why it is this stage's model, if another might have been released.
    """

    release: Release
    recipe: Recipe
    verdict: Verdict
    metrics: Mapping[str, Any]
    tested: StagesTested
    counts: Mapping[str, Mapping[str, int]]
    stages: Sequence[Mapping[str, Any]]
    formats: Sequence[Format]
    choice: str


def write_card(facts: CardFacts) -> str:
    """Write the model card: Markdown, opened by the metadata block."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["md"] = escaped
    recipe, release = facts.recipe, facts.release
    return environment.from_string(TEMPLATE).render(
        vars(facts),
        metadata=yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True),
        named=listed([escaped(name) for name in release.classes], _CLASSES_NAMED),
        context=ModelContext.of(release),
        start=_start(facts),
        configs_and_stages=list(zip((recipe.stage_one, recipe.stage_two), facts.stages, strict=True)),
        trained=_trained,
        number=lambda value: f"{value:.4f}",
        points=lambda value: f"{value * 100:+.1f}",
        percent=lambda value: f"{value * 100:.1f} %",
        short=lambda value: f"{value:g}",
    )


def _start(facts: CardFacts) -> str:
    model, release = facts.recipe.model, facts.release
    if "champion" not in release.made_from or model.champion is None:
        return _STARTS.get(model.first_weights, "from weights in a file")
    words = f"from the weights of {release.started_from or 'an earlier release'}"
    shrink, perturb = model.champion.shrink, model.champion.perturb
    return words if (shrink, perturb) == (1, 0) else f"{words}, shrunk by {shrink:g} and perturbed by {perturb:g},"


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


def _trained(train: Train) -> str:
    if isinstance(train, FromLayer):
        return f"layer {train.from_layer} and all after it"
    if isinstance(train, LastBlocks):
        blocks = "block" if train.last_blocks == 1 else f"{train.last_blocks} blocks"
        return f"the last {blocks} and the head"
    return _TRAINED[train]
