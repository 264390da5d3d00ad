"""The recipe's `stage_one` and `stage_two`: what learns, for how long, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from thaw.pipeline_config.augment_schema import Augmentation, Augmentations, CenterCrop
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.preprocessing import Fit, fit_of
from thaw.pipeline_config.strict import MOST_CLASSES, MOST_EPOCHS, MOST_IMAGES_A_STEP, Strict, nearest_hint

StageName = Literal["stage_one", "stage_two"]
BatchNormMode = Literal["frozen", "affine", "statistics", "train"]
Metric = Literal["val_loss", "val_accuracy"]
# Of Inception and the FixRes paper: resized to 256, cropped to 224. Random crops show objects larger than they are.
EVALUATION_RESIZE_RATIO = 256 / 224
_TrainWord = Literal["all", "head", "last_batch_norm"]
_TRAIN_WORDS = get_args(_TrainWord)
_HIGHEST_RESOLUTION = 8192  # pixels: one such image is 800 MB to a network
_MOST_LAYERS = 10_000  # EfficientNetB7 has 813
_MOST_VIEWS = MOST_EPOCHS  # there is no use for more
_TRAIN_FORMS = "all, head, last_batch_norm, {from_layer: index or name} or {last_blocks: number}"


class FromLayer(Strict):
    """Thaw a layer of the backbone and all that come after it."""

    from_layer: Annotated[int, Field(ge=0, le=_MOST_LAYERS)] | str = Field(
        description="index in the backbone's `layers`, counted from 0, or a layer's name"
    )


class LastBlocks(Strict):
    """Thaw the last blocks of the backbone, whole, and all that comes after them."""

    last_blocks: int = Field(ge=1, le=_MOST_LAYERS)


def _train_form(value: Any) -> str:
    # Names the member of the union that the value means, so that its complaint is the only one that is shown.
    keys = dict(value) if isinstance(value, Strict | dict) else {}
    return next((f"{key}_form" for key in ("from_layer", "last_blocks") if key in keys), "word_form")


def _check_word(value: Any) -> Any:
    if value not in _TRAIN_WORDS:
        hint = nearest_hint(value, _TRAIN_WORDS) if isinstance(value, str) else ""
        raise ValueError(f"train must be {_TRAIN_FORMS}. Received: {received(value)}.{hint}")
    return value


Train = Annotated[
    Annotated[_TrainWord, BeforeValidator(_check_word), Tag("word_form")]
    | Annotated[FromLayer, Tag("from_layer_form")]
    | Annotated[LastBlocks, Tag("last_blocks_form")],
    Discriminator(_train_form),
]


FeatureViews = Annotated[
    Annotated[Literal["auto"], Tag("word_form")] | Annotated[int, Field(ge=0, le=_MOST_VIEWS), Tag("number_form")],
    Discriminator(lambda value: "word_form" if isinstance(value, str) else "number_form"),
]


class _Optimizer(Strict):
    learning_rate: float = Field(gt=0, le=1e6, description="the peak, reached after the warm-up")


class Adam(_Optimizer):
    """Kingma and Ba, 2015."""

    name: Literal["adam"]
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-7, gt=0, le=1e6)


class AdamW(_Optimizer):
    """Adam with decoupled weight decay: Loshchilov and Hutter, 2019."""

    name: Literal["adamw"]
    weight_decay: float = Field(
        default=0.004, ge=0, le=1e6, description="applied to kernels only, not to biases, gamma or beta"
    )
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-7, gt=0, le=1e6)


class SGD(_Optimizer):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False


class RMSprop(_Optimizer):
    """Division by a running mean of the gradient's size: Tieleman and Hinton, 2012."""

    name: Literal["rmsprop"]
    rho: float = Field(default=0.9, ge=0, lt=1)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    epsilon: float = Field(default=1e-7, gt=0, le=1e6)


Optimizer = Annotated[Adam | AdamW | SGD | RMSprop, Field(discriminator="name")]


class LearningRateSchedule(Strict):
    """How the learning rate moves from step to step."""

    name: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = Field(
        default=0, ge=0, le=MOST_EPOCHS, description="epochs of a linear rise from zero to learning_rate"
    )
    final_fraction: float = Field(
        default=0, ge=0, le=1, description="cosine only: share of learning_rate left at the end"
    )


class EarlyStopping(Strict):
    """Stop when the stage's `metric` no longer improves."""

    patience: int = Field(ge=1, le=MOST_EPOCHS, description="epochs without improvement after which the stage ends")
    min_delta: float = Field(default=0, ge=0, le=1e6, description="smallest change that counts as an improvement")


ClassWeights = Annotated[dict[str, Annotated[float, Field(gt=0, le=1e6)]], Field(max_length=MOST_CLASSES)]


@dataclass(frozen=True)
class StageStart:
    """What a stage starts from, as far as its defaults depend on it; `resolution` is the backbone's own, in pixels."""

    random_backbone: bool
    random_head: bool
    head_batch_norm: bool
    resolution: int


class StageConfig(Strict):
    """One stage of training. Both stages are the same function with different settings."""

    resolution: int | None = Field(
        default=None, ge=8, le=_HIGHEST_RESOLUTION, description="pixels; the backbone's own where it is not given"
    )
    train: Train
    batch_norm: BatchNormMode | None = Field(default=None, description="how thawed BatchNormalization layers behave")
    head_batch_norm: BatchNormMode | None = Field(
        default=None, description="how the BatchNormalization of model.head_batch_norm behaves"
    )
    epochs: int = Field(ge=0, le=MOST_EPOCHS, description="0 keeps the weights that the stage starts from")
    batch_size: int = Field(default=32, ge=1, le=MOST_IMAGES_A_STEP, description="images a step, over all devices")
    feature_views: FeatureViews = Field(
        default="auto",
        description="augmented views of each training image for which the frozen layers' outputs are kept; 0: none",
    )
    optimizer: Optimizer
    schedule: LearningRateSchedule = LearningRateSchedule()
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="share of the weights' moving average that is kept at each step"
    )
    label_smoothing: float = Field(default=0, ge=0, lt=1)
    class_weights: Literal["balanced"] | ClassWeights | None = Field(
        default=None, description="balanced: inverse to a class's share of the training images; or class name to weight"
    )
    metric: Metric = Field(default="val_accuracy", description="what early stopping and keep: best look at")
    early_stopping: EarlyStopping | None = None
    keep: Literal["last", "best"] = Field(default="last", description="which epoch's weights the stage ends with")
    augment: Augmentations | None = Field(default=None, description="in place of the recipe's `augment`")
    resize_ratio: float | None = Field(
        default=None,
        ge=1,
        le=100,
        description="evaluation resizes to this times the resolution and crops: center_crop's fraction is its inverse",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.train == "last_batch_norm" and self.batch_norm == "frozen":
            raise ValueError(
                "train: last_batch_norm with batch_norm: frozen leaves nothing to adapt. "
                "Use statistics, affine or train."
            )
        if self.train == "head" and self.batch_norm not in (None, "frozen"):
            raise ValueError(
                f"train: head thaws no BatchNormalization, so batch_norm: {self.batch_norm} has no effect. "
                "Leave it out."
            )
        if self.schedule.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.schedule.warmup_epochs:g}, more than the stage's {self.epochs} epochs."
            )
        return self

    def resolve(self, augment: Sequence[Augmentation], start: StageStart, name: str) -> "StageConfig":
        """Fill in what the stage takes from the rest of the recipe, so that it depends on nothing else.

        `augment` is the recipe's own list, used where the stage has none; `name` is the stage's, for messages.

        Raises:
            ValueError: The stage sets something that the model does not have.
        """
        if self.head_batch_norm is not None and not start.head_batch_norm:
            raise ValueError(f"{name}.head_batch_norm has no effect without model.head_batch_norm: true. Leave it out.")
        batch_norm = self.batch_norm or self._default_batch_norm(start)
        head_mode = self.head_batch_norm or ("train" if start.random_head else batch_norm)
        return self.model_copy(
            update={
                "resolution": self.resolution or start.resolution,
                "batch_norm": batch_norm,
                "head_batch_norm": head_mode if start.head_batch_norm else None,
                "augment": self._with_center_crop(list(augment) if self.augment is None else self.augment, name),
                "resize_ratio": None,  # it is a center_crop now
            }
        )

    @property
    def fit(self) -> Fit:
        """How an image is brought to the model's size where nothing is drawn at random. Of a resolved stage."""
        if self.resolution is None:
            raise ValueError("a stage has a resolution once its recipe is resolved")
        return fit_of(self.resolution, self.augment or [])

    def _with_center_crop(self, augment: list[Augmentation], name: str) -> list[Augmentation]:
        names = {operation.name for operation in augment}
        ratio = self.resize_ratio
        if "center_crop" in names:
            if ratio is not None:
                raise ValueError(f"{name}.resize_ratio and center_crop say the same thing. Leave out one of the two.")
            return augment
        if ratio is None and "random_resized_crop" in names:
            ratio = EVALUATION_RESIZE_RATIO
        return augment if ratio is None else [*augment, CenterCrop(name="center_crop", fraction=1 / ratio)]

    def _default_batch_norm(self, start: StageStart) -> BatchNormMode:
        if self.train == "last_batch_norm":
            return "statistics"  # what the FixRes paper's code does; see the recipe's documentation
        if start.random_backbone and self.train != "head":
            return "train"
        return "frozen"
