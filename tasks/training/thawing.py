"""Which weights learn: what a stage's `train` and `batch_norm` mean for a model.

Three things decide the form of this file. A BatchNormalization normalizes with its moving statistics, and leaves them
alone, exactly if its `trainable` is false (keras#20285: `training=False` in a call does not achieve it inside a
training step). Which variables get gradients is for our own training loop to say. And frozen layers always run as in
inference, whatever dropout they hold: those before the first thawed one are a model of their own, and a block that is
thawed in part gets the others wrapped.
"""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.stage_schema import BatchNormMode, FromLayer, LastBlocks, StageConfig, Train
from thaw.pipeline_config.strict import nearest
from thaw.tasks.training.backbones import NETWORKS
from thaw.tasks.training.model import LOGITS_NAME, POOLING_NAME, backbone_of, head_batch_norm_of


@dataclass(frozen=True)
class Thawed:
    """A classifier made ready for a stage.

    Attributes:
        prefix: From images to the last tensor that nothing thawed influences; None where all layers are thawed.
        suffix: From that tensor (or from images) to logits, float32 (batch, classes).
        variables: What gets gradients, in the model's order.
        warnings: Lines for the log.
    """

    prefix: keras.Model | None
    suffix: keras.Model
    variables: list[keras.Variable]
    warnings: list[str]


def thaw(model: keras.Model, stage: StageConfig, backbone_name: str) -> Thawed:
    """Set the layers of a classifier to what a resolved stage asks for, and split it where the frozen part ends.

    Raises:
        RecipeError: `train` names a layer or a number of blocks that the backbone does not have.
    """
    backbone = backbone_of(model)
    thawed, warnings = _thawed_layers(backbone, stage.train, backbone_name)
    mode = stage.batch_norm or "frozen"
    variables: list[keras.Variable] = []
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            variables += _thaw_batch_norm(layer, mode if layer in thawed else "frozen")
        elif layer in thawed:
            variables += [variable for variable in layer.weights if variable.trainable]
    if (head_batch_norm := head_batch_norm_of(model)) is not None:
        variables += _thaw_batch_norm(head_batch_norm, stage.head_batch_norm or "frozen")
    variables += model.get_layer(LOGITS_NAME).weights
    prefix, suffix = _split(model, backbone, thawed)
    return Thawed(prefix, suffix, variables, warnings)


def last_frozen_output(backbone: keras.Model, train: Train, backbone_name: str) -> keras.KerasTensor | None:
    """Find the last tensor of a backbone that no thawed layer influences: the input of `thaw`'s suffix.

    It is one of the backbone's own graph: its output where nothing of it is thawed; None where there is none.

    Raises:
        RecipeError: `train` names a layer or a number of blocks that the backbone does not have.
    """
    thawed, _ = _thawed_layers(backbone, train, backbone_name)
    return _last_cut_before(backbone, thawed) if thawed else backbone.output


def check_stage(name: str, stage: StageConfig, backbone: keras.Model, backbone_name: str) -> None:
    """Check, with a backbone built for another one, whether a resolved stage asks for what there is.

    Raises:
        RecipeError: It does not; the message names the stage.
    """
    smallest, resolution = NETWORKS[backbone_name].smallest, stage.fit.resolution
    if resolution < smallest:
        raise RecipeError(f"{name}.resolution must be at least {smallest} for {backbone_name}. Received: {resolution}.")
    try:
        _thawed_layers(backbone, stage.train, backbone_name)
    except RecipeError as error:
        raise RecipeError(f"{name}.{error}") from error


def make_ordinary(model: keras.Model) -> None:
    """Make every layer of a classifier trainable again, so that it is saved like any other Keras model."""
    for layer in [*backbone_of(model).layers, *model.layers]:
        layer.trainable = True


def _thaw_batch_norm(layer: layers.BatchNormalization, mode: BatchNormMode) -> list[keras.Variable]:
    """Set a layer to a mode, and give the variables that then get gradients."""
    layer.trainable = mode in ("statistics", "train")
    learns = mode in ("affine", "train")
    return [variable for variable in (layer.gamma, layer.beta) if variable is not None] if learns else []


def _thawed_layers(backbone: keras.Model, train: Train, backbone_name: str) -> tuple[list[keras.Layer], list[str]]:
    everything = list(backbone.layers)
    match train:
        case "all":
            return everything, []
        case "head":
            return [], []
        case "last_batch_norm":
            norms = [layer for layer in everything if isinstance(layer, layers.BatchNormalization)]
            if not norms:
                raise RecipeError(f"train: last_batch_norm needs a BatchNormalization. {backbone_name} has none.")
            return norms[-1:], []
        case LastBlocks(last_blocks=count):
            blocks = list(_blocks(everything, backbone_name).values())
            if count > len(blocks):
                raise RecipeError(
                    f"train.last_blocks must be at most {len(blocks)} for {backbone_name}. Received: {count}."
                )
            return everything[min(blocks[-count]) :], []
        case FromLayer(from_layer=where):
            start = _layer_index(everything, where, backbone_name)
            return everything[start:], _warn_inside_block(everything, start, backbone_name)


def _blocks(all_layers: list[keras.Layer], backbone_name: str) -> dict[str, list[int]]:
    pattern = NETWORKS[backbone_name].block_pattern
    blocks: dict[str, list[int]] = {}
    for index, layer in enumerate(all_layers):
        if match := pattern.match(layer.name):
            blocks.setdefault(match[1], []).append(index)
    return blocks


def _layer_index(all_layers: list[keras.Layer], where: int | str, backbone_name: str) -> int:
    names = [layer.name for layer in all_layers]
    if isinstance(where, int):
        if not 0 <= where < len(names):
            raise RecipeError(f"train.from_layer must be 0 to {len(names) - 1} for {backbone_name}. Received: {where}.")
        return where
    if where not in names:
        raise RecipeError(
            f"train.from_layer: {backbone_name} has no layer {where!r}. Nearest: {nearest(where, names) or names[-1]}."
        )
    return names.index(where)


def _warn_inside_block(all_layers: list[keras.Layer], start: int, backbone_name: str) -> list[str]:
    for indices in _blocks(all_layers, backbone_name).values():
        has_shortcut = any(isinstance(all_layers[index], layers.Add) for index in indices)
        if has_shortcut and min(indices) < start <= max(indices):
            return [
                f"train.from_layer: {all_layers[start].name} is inside a block with a shortcut, so the block is thawed "
                f"in part. Its first layer is {all_layers[min(indices)].name} (index {min(indices)})."
            ]
    return []


def _split(
    model: keras.Model, backbone: keras.Model, thawed: list[keras.Layer]
) -> tuple[keras.Model | None, keras.Model]:
    logits = model.get_layer(LOGITS_NAME).output
    if not thawed:
        pooled = model.get_layer(POOLING_NAME).output
        return keras.Model(model.input, pooled), keras.Model(pooled, logits)
    cut = _last_cut_before(backbone, thawed)
    if cut is None:
        return None, keras.Model(model.input, logits)
    scaled = backbone_input_of(model)
    prefix = keras.Model(model.input, keras.Model(backbone.input, cut)(scaled))
    start = keras.Input(cut.shape[1:], dtype=cut.dtype)
    x = _frozen_in_inference(keras.Model(cut, backbone.output), thawed)(start)
    for layer in model.layers[model.layers.index(backbone) + 1 : model.layers.index(model.get_layer(LOGITS_NAME)) + 1]:
        x = layer(x)
    return prefix, keras.Model(start, x)


class _InInference(layers.Wrapper):
    """Runs a layer as in inference, also in a training step."""

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs, training=False)


def _frozen_in_inference(part: keras.Model, thawed: list[keras.Layer]) -> keras.Model:
    """Rebuild a part of a backbone, of the same layers, so that what is frozen in it runs as in inference.

    As it is where nothing frozen in it would run otherwise. A BatchNormalization does not: its mode says how it runs.
    """
    wrapped = {
        id(layer): _InInference(layer)
        for layer in part.layers
        if layer not in thawed
        and not isinstance(layer, layers.BatchNormalization)
        and "training" in inspect.signature(layer.call).parameters
    }
    if not wrapped:
        return part
    return keras.models.clone_model(part, clone_function=lambda layer: wrapped.get(id(layer), layer))


def backbone_input_of(model: keras.Model) -> keras.KerasTensor:
    """Find the symbolic tensor that a classifier feeds to its backbone: the preprocessed images."""
    return model.layers[model.layers.index(backbone_of(model)) - 1].output


def _last_cut_before(backbone: keras.Model, thawed: Iterable[keras.Layer]) -> keras.KerasTensor | None:
    """Find the last single tensor through which everything flows, and before which nothing is thawed."""
    order = backbone.layers  # as Keras has them: each after those whose outputs it takes
    last_use = {id(tensor): position for position, layer in enumerate(order) for tensor in inputs_of(layer)}
    last_use[id(backbone.output)] = len(order)
    pending = set(map(id, thawed))
    live: dict[int, keras.KerasTensor] = {}
    cut = None
    for position, layer in enumerate(order):
        if id(layer) in pending:
            break
        live[id(layer.output)] = layer.output
        live = {key: tensor for key, tensor in live.items() if last_use[key] > position}
        if len(live) == 1 and not isinstance(layer, layers.InputLayer):
            (cut,) = live.values()
    return cut


def inputs_of(layer: keras.Layer) -> list[keras.KerasTensor]:
    """List the tensors that a layer of a backbone takes; none for its input."""
    if isinstance(layer, layers.InputLayer):
        return []
    return list(layer.input) if isinstance(layer.input, list | tuple) else [layer.input]
