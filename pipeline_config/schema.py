"""The recipe as strict pydantic models: every key of it, its type, its default, and its unit."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from thaw.pipeline_config.augment_schema import Augmentations
from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.dataset_schema import DatasetConfig, RecordsConfig
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import DERIVED_SLICES, MOST_SLICES, PublishConfig, SliceName
from thaw.pipeline_config.retrain_schema import ChecksConfig, RetrainConfig
from thaw.pipeline_config.schedule_schema import ScheduleConfig
from thaw.pipeline_config.stage_schema import StageConfig, StageName, StageStart
from thaw.pipeline_config.strict import MOST_IMAGES_A_STEP, PathText, Strict, nearest_hint


class ChampionStart(Strict):
    """How training starts from the weights of the recipe's champion: shrink * weight + perturb * noise.

    The noise is the weights of a network that has learned nothing (Ash and Adams 2020, arXiv 1910.08475).
    """

    otherwise: PathText | None = Field(
        default="imagenet",
        description="what it starts from where no champion will do; null where the backbone has no ImageNet weights",
    )
    shrink: float = Field(default=1, gt=0, le=1, description="share that is left of each weight that stage one trains")
    perturb: float = Field(default=0, ge=0, le=1, description="share of a fresh network's weight that is added to it")


class FromChampion(Strict):
    """The long form of `weights: champion`."""

    champion: ChampionStart


def _weights_form(value: Any) -> str:
    # Names the member that the value means, so that its complaint is the only one that is shown.
    return "mapping_form" if isinstance(value, dict | FromChampion) else "word_form"


Weights = Annotated[
    Annotated[PathText | None, Tag("word_form")] | Annotated[FromChampion, Tag("mapping_form")],
    Discriminator(_weights_form),
]


class ModelConfig(Strict):
    """The network: a backbone, global average pooling, dropout, and one dense layer with an output per class.

    With `head_batch_norm` there is a BatchNormalization between the pooling and the dropout.
    """

    backbone: str
    weights: Weights = Field(
        default=None,
        description="null (from scratch), imagenet, the path of a Keras weights file, champion, or {champion: mapping}",
    )
    head_batch_norm: bool = Field(default=False, description="normalize the pooled features before the dropout")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="share of pooled features dropped in training")
    drop_connect_rate: float | None = Field(
        default=None, ge=0, lt=1, description="EfficientNet only: share of images that skip the last block in training"
    )

    @field_validator("backbone")
    @classmethod
    def _check_backbone(cls, backbone: str) -> str:
        if backbone not in BACKBONES:
            hint = nearest_hint(backbone, BACKBONES)
            raise ValueError(f"must be one of {', '.join(BACKBONES)}. Received: {received(backbone)}.{hint}")
        return backbone

    @model_validator(mode="after")
    def _check_backbone_has_all(self) -> Self:
        facts = BACKBONES[self.backbone]
        if self.drop_connect_rate is not None and not facts.has_drop_connect:
            raise ValueError(f"drop_connect_rate is for EfficientNets. {self.backbone} has none; leave it out.")
        if self.first_weights == "imagenet" and not facts.has_imagenet_weights:
            key = "weights" if self.champion is None else "weights.champion.otherwise"
            raise ValueError(f"{self.backbone} has no ImageNet weights. Use {key}: null or the path of a weights file.")
        return self

    @property
    def champion(self) -> ChampionStart | None:
        """How it starts from the recipe's champion; None where it does not."""
        if isinstance(self.weights, FromChampion):
            return self.weights.champion
        return ChampionStart() if self.weights == "champion" else None

    @property
    def first_weights(self) -> str | None:
        """What it starts from where there is no champion, or it does not ask for one: null, imagenet or a path."""
        if self.weights is None or (isinstance(self.weights, str) and self.weights != "champion"):
            return self.weights
        champion = self.champion or ChampionStart()
        is_said = "otherwise" in champion.model_fields_set
        return champion.otherwise if is_said or BACKBONES[self.backbone].has_imagenet_weights else None

    def starting_from(self, weights: str | None) -> Self:
        """The same network, with these as its first weights: null, imagenet or a path."""
        champion = self.champion
        if champion is None:
            return self.model_copy(update={"weights": weights})
        start = champion.model_copy(update={"otherwise": weights})
        return self.model_copy(update={"weights": FromChampion(champion=start)})

    def without_champion(self) -> Self:
        """The same network, which starts from its first weights."""
        return self.model_copy(update={"weights": self.first_weights})


_MOST_DEVICES = 1024
Precision = Literal["float32", "bfloat16", "float16"]


def _check_device_numbers(numbers: list[int]) -> list[int]:
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"must name each GPU once. Received: {received(numbers)}.")
    return numbers


Devices = Annotated[
    Annotated[Literal["auto", "cpu"], Tag("word_form")]
    | Annotated[
        list[Annotated[int, Field(ge=0, lt=_MOST_DEVICES)]],
        Field(min_length=1, max_length=_MOST_DEVICES),
        AfterValidator(_check_device_numbers),
        Tag("list_form"),
    ],
    # Names the member that the value means, so that its complaint is the only one that is shown.
    Discriminator(lambda value: "list_form" if isinstance(value, list | tuple) else "word_form"),
]


class AbstainConfig(Strict):
    """From which probability on an answer counts: so that answers above it are right as often as this says."""

    right: float = Field(gt=0, lt=1, description="share of these answers that is to be right")
    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="with which the validation split has to show it")


class EvaluateConfig(Strict):
    """How the finished model is calibrated on the validation split, and judged on the test split."""

    calibrate: bool = Field(default=True, description="divide the logits by a temperature, fitted on validation")
    abstain: AbstainConfig | None = Field(default=None, description="which answers are unsure; null: none is")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="level of the accuracy's Wilson interval")
    batch_size: int = Field(
        default=16,  # with more, two batches at once take more memory than training, and no less time
        ge=1,
        le=MOST_IMAGES_A_STEP,
        description="images a batch; has no influence on the result beyond rounding",
    )
    slices: list[SliceName] = Field(
        default=[],
        max_length=MOST_SLICES,
        description="by what the test images are parted: size, brightness, folder, or a column of the source",
    )


Overlap = Literal["skip", "queue"]
_A_YEAR = 365 * 24 * 60  # minutes
_A_DAY = 24 * 60 * 60  # seconds


class ExecutionConfig(Strict):
    """How a run is carried out; nothing here changes its result, so nothing here is part of a cache key."""

    overlap: Overlap = Field(
        default="skip", description="what a deployment does with a run that would start while another one goes on"
    )
    deadline_minutes: float = Field(
        default=720, gt=0, le=_A_YEAR, description="longest time of a step; it is not tried again then"
    )
    retries: int = Field(default=2, ge=0, le=20, description="further attempts after a failure that may pass")
    retry_delay_seconds: float = Field(
        default=5, ge=0, le=_A_DAY, description="pause before the first retry; doubles with each"
    )
    checkpoint_every: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="steps; null: after each epoch, and every five minutes in a longer one",
    )


RECIPE_NAME = r"[a-z][a-z0-9_]*"
RecipeName = Annotated[str, Field(pattern=f"^{RECIPE_NAME}$", max_length=60)]


class Recipe(Strict):
    """Everything that a run depends on besides the data themselves, as it was written.

    What a step depends on is asked of `resolved`, so that a recipe that is written out, edited and read again means
    what its words say.
    """

    name: RecipeName
    seed: int = Field(default=0, ge=0, lt=2**31)
    deterministic: bool = Field(default=True, description="the same weights from every run, also on a GPU")
    precision: Precision = Field(default="float32", description="in which training computes; weights are float32")
    devices: Devices = Field(default="auto", description="auto, cpu, or the numbers of the GPUs to take")
    dataset: DatasetConfig
    records: RecordsConfig = RecordsConfig()
    model: ModelConfig
    augment: Augmentations = Field(default_factory=list)
    stage_one: StageConfig
    stage_two: StageConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    publish: PublishConfig = PublishConfig()
    checks: ChecksConfig = ChecksConfig()
    retrain: RetrainConfig = RetrainConfig()
    schedule: ScheduleConfig | None = None
    execution: ExecutionConfig = ExecutionConfig()

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        _ = self.resolved
        return self

    @model_validator(mode="after")
    def _check_features(self) -> Self:
        without = {"train": "all", "epochs": 0, "feature_views": 0}
        found = [f"{name}: {value}" for name, value in without.items() if getattr(self.stage_one, name) == value]
        if self.retrain.features and found:
            raise ValueError(
                "retrain.features compares what stage one's frozen layers put out, and nothing of that is kept. "
                f"Received: stage_one with {', '.join(found)}. Expected: train: head or {{last_blocks: number}}, with "
                "epochs and feature_views above 0. Or set retrain.features to false."
            )
        return self

    @model_validator(mode="after")
    def _check_slices(self) -> Self:
        source = self.dataset.source
        for name in () if source.has_columns else self.columns:
            key = "evaluate.slices" if name in self.evaluate.slices else "publish.floors.slices"
            raise ValueError(
                f"{key} must be some of {', '.join(DERIVED_SLICES)}: there are no columns in a source of kind "
                f"{source.kind}. Received: {received(name)}.{nearest_hint(name, DERIVED_SLICES)}"
            )
        return self

    @model_validator(mode="after")
    def _check_what_is_watched(self) -> Self:
        source = self.dataset.source
        if self.retrain.on and not source.may_change:
            raise ValueError(
                f"retrain.on: a source of kind {source.kind} does not change, so that there is nothing to watch. Leave "
                "it out, or use a source of kind directory, csv or parquet."
            )
        return self

    @property
    def slices(self) -> list[str]:
        """By what the test images are parted, for the report or for a floor: in alphabetical order."""
        return sorted({*self.evaluate.slices, *self.publish.floors.slices})

    @property
    def columns(self) -> list[str]:
        """Those of the slices that are columns of the source's table."""
        return [name for name in self.slices if name not in DERIVED_SLICES]

    @property
    def resolved(self) -> Self:
        """The recipe whose parts say by themselves all that their results depend on.

        Raises:
            ValueError: A stage sets something that the model does not have.
        """
        start = StageStart(
            random_backbone=self.model.first_weights is None,
            random_head=True,
            head_batch_norm=self.model.head_batch_norm,
            resolution=BACKBONES[self.model.backbone].resolution,
        )
        starts = {"stage_one": start, "stage_two": replace(start, random_backbone=False, random_head=False)}
        stages = {name: getattr(self, name).resolve(self.augment, start, name) for name, start in starts.items()}
        model = self.model.starting_from(self.model.first_weights)  # which says it where the recipe leaves it out
        return self.model_copy(update=stages | {"model": model})

    def as_written(self) -> dict[str, Any]:
        """The recipe as a JSON document, without what was left to the defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def preprocessing_of(self, stage: StageName) -> Preprocessing:
        """What a release of a stage's model does with an image."""
        fit = getattr(self.resolved, stage).fit
        return Preprocessing(max_pixels=self.dataset.max_pixels, max_side=self.records.max_side, **dict(fit))
