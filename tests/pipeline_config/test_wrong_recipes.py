"""Every kind of wrong key and value: one line with the key's path, what came, what is allowed, the nearest name."""

import pytest

from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.loading import load_recipe, parse_recipe

BACKBONES = "SmallCNN, MobileNetV2, ResNet50V2, EfficientNetB0"
CROP_PAIR = "[{name: random_resized_crop, area: [0.5, 0.1]}]"


def archive(url: str = "https://host/b.zip", sha256: str = "0" * 64, subdirectory: str = "x") -> str:
    """An override that asks for an archive."""
    return f"dataset.source={{kind: archive, url: '{url}', sha256: '{sha256}', subdirectory: '{subdirectory}'}}"


# An override of the digits recipe, and what its error must contain; the first part is how the error must begin.
WRONG = {
    # keys
    "seeed=1": ["seeed is not a key of the recipe.", "Nearest: seed.", "Allowed here: augment, checks, dataset,"],
    "xyz=1": ["xyz is not a key of the recipe. Allowed here:"],
    "stage_two.epoch=3": [
        "stage_two.epoch is not a key of the recipe. Nearest: epochs.",
        "Allowed here: augment, batch",
    ],
    "stage_one.optimizer.lerning_rate=1": ["stage_one.optimizer.lerning_rate is not", "Nearest: learning_rate."],
    "augment.0.factr=1": ["augment.0.factr is not a key", "Nearest: factor.", "Allowed here: factor, fill, name."],
    "dataset.source.path=x": ["dataset.source.path is not a key", "Allowed here: kind."],
    "dataset.splits.test={form: train, fraction: 0.1}": [
        "dataset.splits.test.form is not",
        "Nearest: from.",
        "fraction, from.",
    ],
    "stage_one.schedule.warmup=1": ["stage_one.schedule.warmup is not", "Nearest: warmup_epochs."],
    "1=2": ["1 is not a key of the recipe."],
    # missing keys
    "stage_one.optimizer={name: adam}": ["stage_one.optimizer.learning_rate is missing."],
    "stage_one.optimizer={learning_rate: 1}": ["stage_one.optimizer.name is missing."],
    "dataset.source={}": ["dataset.source.kind is missing."],
    "dataset.source={kind: directory}": ["dataset.source.path is missing."],
    "dataset.source={kind: csv, path: a.csv, label_column: b}": ["dataset.source.path_column is missing."],
    "dataset.source={kind: archive, url: 'https://host/b.zip'}": ["dataset.source.sha256 is missing."],
    "augment=[{}]": ["augment.0.name is missing."],
    "stage_one={}": ["stage_one.train is missing.", "stage_one.epochs is missing.", "stage_one.optimizer is missing."],
    "augment=[{name: random_resized_crop, area: [0.5]}]": ["augment.0.area.1 is missing."],
    # types
    "seed=": ["seed: ", "valid integer", "Received: None."],
    "seed=true": ["seed: ", "valid integer", "Received: True."],
    "seed=1_000": ["seed: ", "valid integer", "Received: '1_000'."],
    "stage_two.epochs=three": ["stage_two.epochs: ", "valid integer", "Received: 'three'."],
    "stage_two.epochs=1.5": ["stage_two.epochs: ", "valid integer", "Received: 1.5."],
    "stage_two.epochs='3'": ["stage_two.epochs: ", "valid integer", "Received: '3'."],
    "model.backbone=3": ["model.backbone: ", "valid string", "Received: 3."],
    "augment={}": ["augment: ", "valid array"],
    "augment=[3]": ["augment.0: ", "object", "Received: 3."],
    "dataset=null": ["dataset: ", "object", "Received: None."],
    "dataset.source=digits": ["dataset.source: ", "object", "Received: 'digits'."],
    "stage_one.optimizer=adam": ["stage_one.optimizer: ", "object", "Received: 'adam'."],
    "stage_one.train={from_layer: 1.5}": [
        "stage_one.train.from_layer: ",
        "integer or a valid string",
        "Received: 1.5.",
    ],
    "stage_one.class_weights={cat: heavy}": ["stage_one.class_weights.cat: ", "valid number", "Received: 'heavy'."],
    # ranges
    "seed=-1": ["seed: ", "greater than or equal to 0", "Received: -1."],
    "seed=2147483648": ["seed: ", "less than 2147483648", "Received: 2147483648."],
    "stage_two.epochs=-1": ["stage_two.epochs: ", "greater than or equal to 0", "Received: -1."],
    "stage_two.resize_ratio=0.9": ["stage_two.resize_ratio: ", "greater than or equal to 1", "Received: 0.9."],
    "model.dropout=1": ["model.dropout: ", "less than 1", "Received: 1."],
    "augment.0.factor=0.9": ["augment.0.factor: ", "less than or equal to 0.5", "Received: 0.9."],
    "stage_one.optimizer.learning_rate=.inf": ["stage_one.optimizer.learning_rate: ", "finite", "Received: inf."],
    "stage_one.optimizer.learning_rate=.nan": ["stage_one.optimizer.learning_rate: ", "Received: nan."],
    "stage_one.train={last_blocks: 0}": ["stage_one.train.last_blocks: ", "greater than or equal to 1", "Received: 0."],
    "evaluate.confidence=0.5": ["evaluate.confidence: ", "greater than 0.5", "Received: 0.5."],
    "publish.formats=[]": ["publish.formats: ", "at least 1 item", "Received: []."],
    "name=Digits": ["name: ", "pattern", "Received: 'Digits'."],
    # names of things
    "model.backbone=MobilNetV2": ["model.backbone: ", BACKBONES, "Received: 'MobilNetV2'. Nearest: MobileNetV2."],
    "dataset.source.kind=digit": ["dataset.source.kind must be one of digits,", "'digit'. Nearest: digits."],
    "stage_one.optimizer.name=adm": [
        "stage_one.optimizer.name must be one of adam, adamw, sgd, rmsprop.",
        "Nearest: adam.",
    ],
    "augment.0.name=random_rotatoin": ["augment.0.name must be one of random_flip,", "Nearest: random_rotation."],
    "augment.0.fill=mirror": ["augment.0.fill: ", "'reflect', 'nearest' or 'constant'", "Received: 'mirror'."],
    "stage_one.batch_norm=frozn": ["stage_one.batch_norm: ", "'statistics' or 'train'", "Nearest: frozen."],
    "stage_one.train=hed": ["stage_one.train: ", "all, head, last_batch_norm,", "Received: 'hed'. Nearest: head."],
    "stage_one.train={last_block: 1}": ["stage_one.train: ", "{last_blocks: number}", "Received: {'last_block': 1}."],
    "stage_one.class_weights=balansed": ["stage_one.class_weights: ", "'balanced'", "Nearest: balanced."],
    "dataset.splits.test=tests": ["dataset.splits.test: ", "'test'", "Received: 'tests'. Nearest: test."],
    "dataset.splits.test={from: trian, fraction: 0.1}": ["dataset.splits.test.from: ", "'trian'. Nearest: train."],
    "publish.formats=[keras, kera]": ["publish.formats.1: ", "'saved_model'", "Received: 'kera'. Nearest: keras."],
    "schedule={cron: daily}": ["schedule.cron: ", "five fields", "Received: 'daily'."],
    "schedule={cron: 61 3 * * *}": ["schedule.cron: ", "Bad minute", "Received: '61 3 * * *'."],
    "schedule={cron: 0 3 31 2 *}": ["schedule.cron: ", "Bad day-of-month", "Received: '0 3 31 2 *'."],
    "schedule={cron: 0 3 * * *, timezone: Europe/Pariss}": ["schedule.timezone: ", "Nearest: Europe/Paris."],
    "schedule={interval: daily}": ["schedule.interval: ", "whole number and a unit", "Received: 'daily'."],
    "schedule={rrule: FREQ=DAYLY}": ["schedule.rrule: ", "invalid 'FREQ': DAYLY", "Received: 'FREQ=DAYLY'."],
    "schedule={interval: 6h, catch_up: all}": ["schedule.catch_up: ", "'latest' or 'none'", "Received: 'all'."],
    "execution.overlap=skp": ["execution.overlap: ", "'skip' or 'queue'", "Nearest: skip."],
    # combinations
    "evaluate.slices=[size, brigthness]": [
        "The recipe: evaluate.slices must be some of size, brightness, folder: there are no columns in a source ",
        "of kind digits. Received: 'brigthness'. Nearest: brightness.",
    ],
    "publish.floors.slices={camera: {phone: 0.9}}": [
        "The recipe: publish.floors.slices must be",
        "Received: 'camera'.",
    ],
    "evaluate.slices=['']": ["evaluate.slices.0: ", "at least 1 character", "Received: ''."],
    "model.weights=imagenet": ["model: SmallCNN has no ImageNet weights. Use weights: null"],
    "model.weights.champion.otherwise=imagenet": [
        "model: SmallCNN has no ImageNet weights. Use weights.champion.otherwise: null"
    ],
    "model.weights.champion.shrnk=0.4": ["model.weights.champion.shrnk is not a key", "Nearest: shrink."],
    "model.weights={champions: {}}": ["model.weights.champions is not a key", "Nearest: champion."],
    "model.weights={champion: 3}": ["model.weights.champion: ", "object", "Received: 3."],
    "model.weights={champion: {shrink: 0}}": ["model.weights.champion.shrink: ", "greater than 0", "Received: 0."],
    "model.weights={champion: {perturb: 2}}": ["model.weights.champion.perturb: ", "less than or equal to 1"],
    "model.weights={champion: {otherwise: 3}}": ["model.weights.champion.otherwise: ", "valid string", "Received: 3."],
    "model.drop_connect_rate=0.4": ["model: drop_connect_rate is for EfficientNets. SmallCNN has none;"],
    "stage_one.head_batch_norm=train": [
        "The recipe: stage_one.head_batch_norm has no effect without model.head_batch_norm: true."
    ],
    "stage_two={train: all, resize_ratio: 1.2, augment: [{name: center_crop}], epochs: 1,"
    " optimizer: {name: adam, learning_rate: 1}}": [
        "The recipe: stage_two.resize_ratio and center_crop say the same thing."
    ],
    "dataset.splits.test={from: test, fraction: 0.1}": ["dataset.splits: test cannot be cut from itself."],
    "dataset.splits={validation: {from: train, fraction: 0.5}, test: {from: train, fraction: 0.6}}": [
        "dataset.splits: validation and test take 1.1 of train together"
    ],
    "dataset.splits={validation: {from: test, fraction: 0.5}, test: {from: validation, fraction: 0.6}}": [
        "dataset.splits: validation and test cannot each be cut from the other."
    ],
    f"augment={CROP_PAIR}": ["augment.0: area must be two numbers with 0 < low <= high <= 1. Received: [0.5, 0.1]."],
    "augment=[{name: random_resized_crop, aspect_ratio: [2, 1]}]": ["augment.0: aspect_ratio must be two numbers"],
    "augment=[{name: random_resized_crop, aspect_ratio: [0, 1]}]": [
        "augment.0.aspect_ratio.0: ",
        "greater than or equal to 0.001",
        "Received: 0.",
    ],
    "augment=[{name: center_crop}, {name: center_crop}]": ["augment: center_crop is named 2 times. Use it once."],
    f"stage_two.augment={CROP_PAIR}": ["stage_two.augment.0: area must be two numbers"],
    "stage_two.augment=[{name: random_resized_crop}, {name: random_resized_crop}]": [
        "stage_two.augment: random_resized"
    ],
    "stage_two={train: head, batch_norm: train, epochs: 1, optimizer: {name: adam, learning_rate: 1}}": [
        "stage_two: train: head thaws no BatchNormalization"
    ],
    "stage_two={train: last_batch_norm, batch_norm: frozen, epochs: 1, optimizer: {name: adam, learning_rate: 1}}": [
        "stage_two: train: last_batch_norm with batch_norm: frozen leaves nothing to adapt."
    ],
    "stage_one.schedule.warmup_epochs=13": ["stage_one: warmup_epochs is 13, more than the stage's 12 epochs."],
    # overrides themselves
    "stage_two.epochs": ["--set takes KEY=VALUE, such as stage_two.epochs=3. Received: 'stage_two.epochs'."],
    "=3": ["--set takes KEY=VALUE"],
    "seed=[": ["--set seed: the value '[' is not valid YAML: ", "line 1, column 2"],
    "seed=" + 3000 * "[": ["--set seed: the value"],
    "seed={a: 1, b: 2, a: 1}": ["Key 'a' stands twice in one place"],
    "seed.x=1": ["--set seed.x: there is no place for 'x'"],
    "seed.x.y=1": ["--set seed.x.y: there is no place for"],
    "augment.2.factor=0.1": ["--set augment.2.factor: '2' must be an index from 0 to 1."],
    "augment.-1.factor=0.1": ["--set augment.-1.factor: '-1' must be an index from 0 to 1."],
    "augment.²={}": ["--set augment.²: '²' must be an index from 0 to 1."],
    "augment.first={}": ["--set augment.first: 'first' must be an index"],
    "seed=&a [*a]": ["The recipe cannot be written as JSON"],
    "seed={? [1, 2] : 3}": ["--set seed: the value", "is not valid YAML: ", "unhashable key"],
    "dataset.source={kind: directory, path: ~nosuchuser/images}": [
        "dataset.source.path: '~nosuchuser/images' names no"
    ],
    "dataset.source.urlhttps://host/a?key=secret": ["--set takes KEY=VALUE", "Received: 'dataset", "key=REMOVED'."],
    # values of any size
    "seed=" + 5000 * "9": ["--set seed: the value '999", "is not valid YAML: it has a number of 5000 digits."],
    "seed=" + 900 * "9": ["seed: ", "Received: 999", "..."],
    "name=" + 100_000 * "a": ["name: ", "at most 60 characters", "Received: 'aaa"],
    "seed.=" + 100_000 * "a": ["--set seed.: there is no place for ''"],
    "augment." + 5000 * "9" + "=1": ["--set augment.999", "must be an index from 0 to 1."],
    5000 * "x.": ["--set takes KEY=VALUE", "Received: 'x.x."],
    1000 * "x." + "y=1": ["The recipe"],
    "model.weights='" + 5000 * "w" + "'": ["model.weights: ", "at most 4096 characters"],
    'model.weights="a\\0b"': ["model.weights: ", "must hold no NUL character"],
    "model.weights=https://me:word@host/w.h5": ["model.weights: ", "must be a path of this machine", "//host/w.h5'."],
    "dataset.source={kind: directory, path: 's3://bucket/a?key=word'}": ["dataset.source.path: ", "?key=REMOVED'."],
    "dataset.source={kind: directory, path: ''}": ["dataset.source.path: ", "at least 1 character"],
    # archives
    archive("ftp://host/b.zip"): [
        "dataset.source.url: ",
        "https://, http:// or file://",
        "'ftp://host/b.zip'",
    ],
    archive("b.zip"): ["dataset.source.url: ", "https://, http:// or file://"],
    archive("https:///b.zip"): ["dataset.source.url: ", "must name a host"],
    archive("file://server/b.zip"): ["dataset.source.url: ", "a file of this machine"],
    archive("https://host/b c.zip"): ["dataset.source.url: ", "without spaces"],
    archive("https://me:word@host/b.zip"): ["dataset.source.url: ", "must not hold a user name or a password"],
    archive("https://host:port/b.zip"): ["dataset.source.url: ", "must be the address of a file"],
    archive("https://[host/b.zip"): ["dataset.source.url: ", "must be the address of a file"],
    archive("ftp://host/b.zip?key=word"): ["dataset.source.url: ", "Received: 'ftp://host/b.zip?key=REMOVED'."],
    archive(sha256="0" * 63): ["dataset.source.sha256: ", "64 digits", "0 to 9 and a to f"],
    archive(sha256="F" * 64): ["dataset.source.sha256: ", "64 digits"],
    archive(subdirectory="../x"): ["dataset.source.subdirectory: ", "a folder in the archive", "'../x'"],
    archive(subdirectory="/x"): ["dataset.source.subdirectory: ", "a folder in the archive"],
    archive(subdirectory="."): ["dataset.source.subdirectory: ", "a folder in the archive"],
    "model.weights=~nosuchuser/w.h5": ["model.weights: '~nosuchuser/w.h5' names no home folder"],
}


@pytest.mark.parametrize("override", list(WRONG), ids=lambda text: text[:60])
def test_wrong_override_is_one_line_that_says_what_came_and_what_is_allowed(override):
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", (override,))
    message, parts = str(caught.value), WRONG[override]
    assert "\n" not in message
    assert len(message) < 500
    assert "word@" not in message
    assert message.startswith(parts[0])
    for part in parts:
        assert part in message
    assert caught.value.exit_code == 2


def test_frozen_batch_norm_is_allowed_when_all_is_trained():
    assert load_recipe("digits", ("stage_one.batch_norm=frozen",)).stage_one.batch_norm == "frozen"


def test_one_mistake_in_a_union_is_complained_about_once():
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", ("stage_one.train.from_layer=1.5",))
    assert str(caught.value).count("from_layer") == 1
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", ("stage_one.class_weights={cat: heavy}",))
    assert str(caught.value).count("class_weights") == 1


def test_several_mistakes_are_all_named():
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", ("seed=-1", "stage_two.epochs=-1", "model.dropout=2"))
    for path in ("seed", "stage_two.epochs", "model.dropout"):
        assert f"{path}: " in str(caught.value)


def test_same_mistake_in_both_stages_is_named_for_each():
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", ("stage_one.optimizer.name=adm", "stage_two.optimizer.name=adm"))
    assert "stage_one.optimizer.name must" in str(caught.value)
    assert "stage_two.optimizer.name must" in str(caught.value)


@pytest.mark.parametrize("document", [None, 3, "digits", [], [1]])
def test_document_that_is_no_mapping_is_refused(document):
    with pytest.raises(RecipeError, match=r"^The recipe: .*object"):
        parse_recipe(document)


def test_keys_that_are_no_strings_are_refused():
    with pytest.raises(RecipeError, match="cannot be written as JSON"):
        parse_recipe({("a", "b"): 1})
