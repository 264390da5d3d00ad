"""From a recipe, and what the tasks before have made, to the request of each task. No Prefect: a plan needs no server.

All take the recipe and the home. Parameters that come after them are named after the tasks whose artifacts they are; a
stage gets the request of its features, and not their artifact, because it needs that only while it trains.
"""

from thaw.flows.need import learned_from
from thaw.flows.start import Start, ask_for_stage, start_of, start_of_features, start_of_trained, started_from
from thaw.pipeline_config.dataset_schema import DirectorySource
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.stage_schema import StageName
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.calibration.step import CalibrateStep, CalibrationFacts
from thaw.tasks.evaluation.step import EvaluateStep
from thaw.tasks.feature_drift.step import FeatureDriftStep
from thaw.tasks.home import Home
from thaw.tasks.ingest.sources import columns_digest, content_digest
from thaw.tasks.ingest.step import IngestStep, digest_without_columns
from thaw.tasks.preflight.step import PreflightStep
from thaw.tasks.publishing.portable_recipe import portable_recipe
from thaw.tasks.publishing.step import PublishStep
from thaw.tasks.records.step import RecordsFacts, RecordsStep
from thaw.tasks.releases.preflight import PreflightFacts
from thaw.tasks.report.step import ReportStep
from thaw.tasks.training.checks import check_against_dataset
from thaw.tasks.training.features.choice import possible_views, views_of
from thaw.tasks.training.features.step import FeaturesStep, features_of
from thaw.tasks.training.step import TrainStep
from thaw.tasks.verdict.looks import looks_of
from thaw.tasks.verdict.rivals import rivals_of
from thaw.tasks.verdict.step import BaselineFacts, BaselineStep, VerdictStep


def ingest(recipe: Recipe, home: Home) -> IngestStep:
    """Ask for the dataset. Reads the source, because its content is part of the key."""
    dataset = recipe.dataset
    return IngestStep(
        dataset=dataset.model_copy(update={"seed": None}),  # one seed, wherever it stands, is one dataset
        seed=recipe.seed if dataset.seed is None else dataset.seed,
        content=content_digest(dataset.source, home),
        columns=recipe.columns,
        columns_content=columns_digest(dataset.source, home, recipe.columns),
    )


def preflight(recipe: Recipe, home: Home, ingest: ArtifactRef) -> PreflightStep:
    """Ask what changed since the champion learned, unless it learned from this very dataset; and for the checks."""
    champion = home.registry.champion(recipe.name)
    return PreflightStep(
        dataset=ingest,
        champion=None if champion is None or learned_from(champion, ingest) else champion.id,
        checks=recipe.checks,
        confidence=recipe.retrain.confidence,
        features=recipe.retrain.features,
    )


def records(recipe: Recipe, home: Home, ingest: ArtifactRef) -> RecordsStep:
    """Ask for the dataset's images as TFRecord shards, if the recipe's stages fit the dataset."""
    check_against_dataset(recipe, home, ingest)
    if recipe.publish.must_not_break is not None:
        from thaw.tasks.verdict.must_not_break import check_must_not_break  # imports pyarrow: see check_against_dataset

        check_must_not_break(recipe, home, ingest)
    images = digest_without_columns(home, ingest) if recipe.columns else None
    return RecordsStep(dataset=ingest, images=images, source=recipe.dataset.source, records=recipe.records)


def features_one(recipe: Recipe, home: Home, records: ArtifactRef) -> FeaturesStep | None:
    """Ask for what stage one's frozen layers put out, if it pays; where it serves, the same pass makes stage two's."""
    start = start_of(recipe, home, records)
    after = {"stage_two": recipe.resolved.stage_two}
    alone = _features(home, ask_for_stage("stage_one", recipe, records, **start, stages_after=after))
    also = _features_two_of(start, recipe, home, records) if one_pass_does(recipe) else None
    return alone if alone is None else alone.model_copy(update={"also": also})


def feature_drift(
    recipe: Recipe,
    home: Home,
    preflight: ArtifactRef,
    records: ArtifactRef,
    features_one: FeaturesStep | None,
    **_: ArtifactRef,
) -> FeatureDriftStep | None:
    """Ask whether new images differ in what stage one's frozen layers put out, if `preflight` had enough to compare."""
    looked = home.store.facts(preflight, PreflightFacts) if recipe.retrain.features else None
    if looked is None or looked.champion is None or not looked.drift:
        return None
    return FeatureDriftStep(
        records=records,
        features_key=None if features_one is None else features_one.key,
        champion=looked.champion,
        confidence=recipe.retrain.confidence,
    )


def stage_one(recipe: Recipe, home: Home, records: ArtifactRef, features_one: FeaturesStep | None) -> TrainStep:
    """Ask for the first stage: from the recipe's weights, on what its frozen layers put out if that is there."""
    # The champion may be another one by now: the features are of that from which they were asked for.
    start = start_of(recipe, home, records) if features_one is None else start_of_features(features_one)
    after = {"stage_two": recipe.resolved.stage_two}
    return ask_for_stage("stage_one", recipe, records, features_one, **start, stages_after=after)


def features_two(
    recipe: Recipe, home: Home, records: ArtifactRef, stage_one: ArtifactRef | None
) -> FeaturesStep | None:
    """Ask for what stage two's frozen layers put out, if it pays."""
    if not one_pass_does(recipe):
        return _features(home, ask_for_stage("stage_two", recipe, records, start=stage_one))
    # They are those of stage one's start, and look at the same pictures.
    start = start_of(recipe, home, records) if stage_one is None else start_of_trained(recipe, home, stage_one)
    return _features_two_of(start, recipe, home, records)


def stage_two(
    recipe: Recipe, home: Home, records: ArtifactRef, stage_one: ArtifactRef, features_two: FeaturesStep | None
) -> TrainStep:
    """Ask for the second stage: from the first one's kept weights, in the same way."""
    return ask_for_stage("stage_two", recipe, records, features_two, start=stage_one)


def calibrate(
    recipe: Recipe, home: Home, records: ArtifactRef, stage_one: ArtifactRef, stage_two: ArtifactRef
) -> CalibrateStep:
    """Ask how far a model's probabilities can be trusted, by the validation split; and which stage's that is."""
    return CalibrateStep(
        records=records,
        stage_one=stage_one if recipe.publish.prefer_simpler else None,
        stage_two=stage_two,
        confidence=recipe.evaluate.confidence if recipe.publish.prefer_simpler else None,
        calibrate=recipe.evaluate.calibrate,
        abstain=recipe.evaluate.abstain,
        batch_size=recipe.evaluate.batch_size,
        devices=recipe.devices,
    )


def evaluate(
    recipe: Recipe,
    home: Home,
    records: ArtifactRef,
    stage_one: ArtifactRef,
    stage_two: ArtifactRef,
    calibrate: ArtifactRef,
) -> EvaluateStep:
    """Ask for the judgement of the model on the test split, and of what each stage earned."""
    calibrated = home.store.facts(calibrate, CalibrationFacts)
    return EvaluateStep(
        records=records,
        stage_one=stage_one,
        stage_two=stage_two,
        judged=calibrated.stage,
        temperature=calibrated.temperature,
        evaluate=recipe.evaluate.model_copy(update={"slices": []}),  # which are the verdict's
        devices=recipe.devices,
    )


def mend_releases(home: Home) -> None:
    """Complete a change of a champion that was interrupted, and mend what is damaged of it."""
    home.registry.mend()


def baseline(recipe: Recipe, home: Home, records: ArtifactRef, evaluate: ArtifactRef) -> BaselineStep:
    """Ask what the recipe's champion, as it is now, answers for the new model's test images."""
    champion, anchor = rivals_of(home.registry, recipe.name, evaluate, recipe.publish.require)
    return BaselineStep(records=records, champion=champion, anchor=anchor, devices=recipe.devices)


def verdict(
    recipe: Recipe,
    home: Home,
    calibrate: ArtifactRef,
    evaluate: ArtifactRef,
    baseline: ArtifactRef,
    **made: ArtifactRef,
) -> VerdictStep:
    """Ask whether the new model is to take the champion's place."""
    answered, dataset = home.store.facts(baseline, BaselineFacts), made["ingest"]
    stage, slices = _released(home, calibrate), recipe.slices
    return VerdictStep(
        dataset=dataset if slices else None,
        model=made[stage],
        input=recipe.preprocessing_of(stage),
        evaluation=evaluate,
        baseline=baseline,
        champion=answered.champion,
        anchor=answered.anchor,
        looks=looks_of(home.registry, recipe.name, evaluate, answered.champion, answered.test_split),
        publish=recipe.publish,
        kept=_kept(recipe, home, dataset),
        slices=slices,
        devices=recipe.devices,
    )


def _kept(recipe: Recipe, home: Home, dataset: ArtifactRef) -> str | dict[str, str] | None:
    """Say which images have to stay right: by the digest of a folder, or by the ids of test images."""
    kept = recipe.publish.must_not_break
    if isinstance(kept, str):
        return content_digest(DirectorySource(kind="directory", path=kept), home)
    if kept is None:
        return None
    from thaw.tasks.verdict.must_not_break import kept_images  # as in `records`

    return kept_images(kept, home, dataset)


def report(recipe: Recipe, home: Home, calibrate: ArtifactRef, **made: ArtifactRef) -> ReportStep:
    """Ask for the page that shows the result."""
    resolved = recipe.resolved
    return ReportStep(
        recipe_name=recipe.name,
        source=recipe.dataset.source.kind,
        stage_one_settings=resolved.stage_one,
        stage_two_settings=resolved.stage_two,
        formats=recipe.publish.formats,
        input=recipe.preprocessing_of(_released(home, calibrate)),
        seed=recipe.seed,
        calibration=calibrate,
        **_as_inputs(made),
    )


def publish(recipe: Recipe, home: Home, calibrate: ArtifactRef, **made: ArtifactRef) -> PublishStep:
    """Ask for the release."""
    written = portable_recipe(recipe, resolved=False)
    stage = _released(home, calibrate)
    return PublishStep(
        recipe=recipe.resolved,
        written=written,
        stage=stage,
        started_from=started_from(recipe, home, made["stage_one"]),
        calibration=calibrate,
        **_as_inputs(made),
    )


def may_compare_features(recipe: Recipe) -> bool:
    """Say whether features of new images might be compared with others, by the recipe alone."""
    return recipe.retrain.features


def may_want_features_one(recipe: Recipe) -> bool:
    """Say whether stage one's frozen layers might be run in advance, by its settings alone."""
    return possible_views(recipe.resolved.stage_one) > 0


def may_want_features_two(recipe: Recipe) -> bool:
    """Say the same of stage two, where not the same pass makes the features of both."""
    return possible_views(recipe.resolved.stage_two) > 0 and not one_pass_does(recipe)


def one_pass_does(recipe: Recipe) -> bool:
    """Say whether one pass over the images makes the features of both stages.

    It does if stage one leaves the backbone as it was, and both stages learn from views of the same pictures.
    """
    one, two = recipe.resolved.stage_one, recipe.resolved.stage_two
    same_pictures = (one.fit, one.augment) == (two.fit, two.augment)
    return one.train == "head" and same_pictures and min(possible_views(one), possible_views(two)) > 0


def _as_inputs(made: dict[str, ArtifactRef]) -> dict[str, ArtifactRef]:
    """Name what tasks have made as the requests of the last ones do: by what it is."""
    names = {"ingest": "dataset", "evaluate": "evaluation"}
    return {names.get(task, task): ref for task, ref in made.items()}


def _released(home: Home, calibrate: ArtifactRef) -> StageName:
    return home.store.facts(calibrate, CalibrationFacts).stage


def _features_two_of(start: Start, recipe: Recipe, home: Home, records: ArtifactRef) -> FeaturesStep | None:
    return _features(home, ask_for_stage("stage_two", recipe, records, **start), draws="stage_one")


def _features(home: Home, stage: TrainStep, draws: str | None = None) -> FeaturesStep | None:
    images = home.store.facts(stage.records, RecordsFacts).examples["train"]
    views = views_of(stage.stage, stage.model.backbone, images)
    return features_of(stage, draws or stage.name, views) if views else None
