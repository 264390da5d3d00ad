"""What the report says of the training: each stage's settings and facts in words."""

from thaw.pipeline_config.stage_schema import FromLayer, LastBlocks, StageConfig, Train
from thaw.tasks.report.content import StageSummary
from thaw.tasks.training.stage_facts import StageFacts

_WORDS = {
    "all": "the whole network",
    "head": "the head; the backbone is frozen",
    "last_batch_norm": "the last BatchNormalization and the head",
}


def summarize_stage(facts: StageFacts, settings: StageConfig) -> StageSummary:
    """Bring together what happened in a stage, and what was asked for."""
    return StageSummary(
        name=facts.name.replace("_", " "),
        resolution=facts.fit.resolution,
        trained=describe(settings.train),
        trainable_parameters=facts.trainable_parameters,
        parameters=facts.parameters,
        epochs=facts.epochs,
        kept_epoch=facts.kept_epoch,
        accuracy_before=facts.before.val_accuracy,
        accuracy_after=facts.val_accuracy,
        loss_before=facts.before.val_loss,
        loss_after=facts.val_loss,
    )


def describe(train: Train) -> str:
    """Say in a few words what a stage trains."""
    match train:
        case FromLayer(from_layer=layer):
            return f"from layer {layer} of the backbone on"
        case LastBlocks(last_blocks=1):
            return "the last block and the head"
        case LastBlocks(last_blocks=blocks):
            return f"the last {blocks} blocks and the head"
        case _:
            return _WORDS[str(train)]
