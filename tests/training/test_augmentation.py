import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import ndimage

from thaw.pipeline_config.augment_schema import Augmentation, CenterCrop, FillMode, RandomResizedCrop
from thaw.pipeline_config.preprocessing import fit_of
from thaw.tasks.pictures.decoding import fit, squeeze
from thaw.tasks.training.augmentation import augment, prepare_training_image, random_resized_crop
from thaw.tasks.training.geometry import random_box, rotate, translate, zoom

RESOLUTION = 24
OPERATIONS = {
    "flip": {"name": "random_flip", "mode": "horizontal_and_vertical"},
    "rotation": {"name": "random_rotation", "factor": 0.3},
    "translation": {"name": "random_translation", "height": 0.3, "width": 0.2, "fill": "constant"},
    "zoom": {"name": "random_zoom", "factor": 0.4, "fill": "nearest"},
    "contrast": {"name": "random_contrast", "factor": 0.9},
}
NO_CHANGE = {"name": "random_rotation", "factor": 0.0}
CROP = RandomResizedCrop(name="random_resized_crop")
# What TensorFlow and the recipe call by one name, scipy calls by another.
SCIPY_MODES: dict[FillMode, str] = {"reflect": "reflect", "nearest": "nearest", "constant": "grid-constant"}


def parse(*operations):
    return TypeAdapter(list[Augmentation]).validate_python(list(operations))


def noise(height=RESOLUTION, width=RESOLUTION, low=0, high=256):
    return np.random.default_rng(0).integers(low, high, (height, width, 3)).astype(np.uint8)


def one_bright_pixel(row, column):
    image = np.zeros((RESOLUTION, RESOLUTION, 3), np.float32)
    image[row, column] = 255
    return image


def over_seeds(function, count):
    """The function's results for the seeds [0, 5], [1, 5], …, stacked."""
    seeds = tf.data.Dataset.range(count).map(lambda index: tf.stack([tf.cast(index, tf.int32), 5]))
    return next(iter(seeds.map(function, num_parallel_calls=2).batch(count))).numpy()


# ------------------------------------------------------------------------------------------------ every operation alike


@pytest.mark.parametrize("name", [*OPERATIONS, "all"])
def test_result_keeps_shape_and_type_and_range(name):
    operations = parse(*(OPERATIONS.values() if name == "all" else [OPERATIONS[name]]))
    image = tf.cast(noise(), tf.float32)
    direct = augment(image, tf.constant([3, 4]), operations)
    assert direct.dtype == tf.float32
    assert direct.shape == image.shape
    many = over_seeds(lambda seed: augment(image, seed, operations), 40)
    assert many.dtype == np.float32
    assert many.shape == (40, *image.shape)
    assert many.min() >= 0
    assert many.max() <= 255
    assert many.std() > 10


@pytest.mark.parametrize("name", [*OPERATIONS, "all"])
def test_same_seed_gives_the_same_bits_directly_in_a_function_and_in_a_dataset_of_any_parallelism(name):
    operations = parse(*(OPERATIONS.values() if name == "all" else [OPERATIONS[name]]))
    image = tf.cast(noise(), tf.float32)
    seeds = [tf.constant([index, 5]) for index in range(8)]
    direct = np.stack([augment(image, seed, operations) for seed in seeds])
    traced = tf.function(lambda seed: augment(image, seed, operations))
    np.testing.assert_array_equal(np.stack([traced(seed) for seed in seeds]), direct)
    for parallelism in (1, 2, 8):
        dataset = tf.data.Dataset.from_tensor_slices(tf.stack(seeds))
        mapped = dataset.map(lambda seed: augment(image, seed, operations), num_parallel_calls=parallelism)
        np.testing.assert_array_equal(np.stack(list(mapped.as_numpy_iterator())), direct)


@pytest.mark.parametrize("name", OPERATIONS)
def test_different_seeds_give_different_images(name):
    image = tf.cast(noise(), tf.float32)
    results = over_seeds(lambda seed: augment(image, seed, parse(OPERATIONS[name])), 16)
    distinct = {result.tobytes() for result in results}
    assert len(distinct) == (4 if name == "flip" else 16)


@pytest.mark.parametrize("position", [0, 1])
def test_both_words_of_the_seed_count(position):
    image, operations = tf.cast(noise(), tf.float32), parse(OPERATIONS["rotation"])
    other = np.eye(2, dtype=np.int32)[position]
    assert np.any(augment(image, tf.constant([0, 0]), operations) != augment(image, tf.constant(other), operations))


def test_global_seed_and_earlier_draws_make_no_difference():
    image, operations = tf.cast(noise(), tf.float32), parse(*OPERATIONS.values())
    before = augment(image, tf.constant([1, 2]), operations)
    tf.random.set_seed(99)
    tf.random.uniform([7])
    np.testing.assert_array_equal(augment(image, tf.constant([1, 2]), operations), before)


def test_operations_are_applied_in_the_order_of_the_list():
    image, seed = tf.cast(noise(), tf.float32), tf.constant([6, 1])
    first, second = OPERATIONS["zoom"], OPERATIONS["translation"]
    both = augment(image, seed, parse(first, second))
    in_order = augment(augment(image, seed, parse(first)), seed, parse(NO_CHANGE, second))
    reversed_order = augment(augment(image, seed, parse(NO_CHANGE, second)), seed, parse(first))
    np.testing.assert_allclose(both, in_order, atol=1e-3)
    assert np.abs(both - reversed_order).max() > 10


def test_operations_of_one_kind_in_one_list_draw_their_own_numbers():
    image, flip = tf.cast(noise(), tf.float32), {"name": "random_flip"}
    results = over_seeds(lambda seed: augment(image, seed, parse(flip, flip)), 32)
    unchanged = sum(np.array_equal(result, image) for result in results)
    assert 4 < unchanged < 28  # with one draw for both, the second flip would always undo the first


def test_empty_list_changes_nothing():
    image = tf.cast(noise(), tf.float32)
    np.testing.assert_array_equal(augment(image, tf.constant([0, 0]), []), image)


# ------------------------------------------------------------------------------------------------------ each by itself


@pytest.mark.parametrize(("mode", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_flip_mirrors_its_axis_with_probability_one_half(mode, axis):
    image = tf.cast(noise(), tf.float32)
    results = over_seeds(lambda seed: augment(image, seed, parse({"name": "random_flip", "mode": mode})), 1000)
    mirrored = np.all(results == np.flip(image, axis), axis=(1, 2, 3))
    assert np.all(mirrored | np.all(results == image, axis=(1, 2, 3)))
    assert abs(mirrored.mean() - 0.5) < 5 * math.sqrt(0.25 / 1000)


def test_flip_of_both_axes_flips_each_on_its_own():
    image = tf.cast(noise(), tf.float32)
    results = over_seeds(lambda seed: augment(image, seed, parse(OPERATIONS["flip"])), 1000)
    for axes in ((), (0,), (1,), (0, 1)):
        share = np.all(results == np.flip(image, axes), axis=(1, 2, 3)).mean()
        assert abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 1000)


def test_rotation_by_factor_zero_is_the_identity():
    image = tf.cast(noise(), tf.float32)
    np.testing.assert_array_equal(augment(image, tf.constant([1, 2]), parse(NO_CHANGE)), image)


@pytest.mark.parametrize("size", [24, 25])
@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_rotation_by_quarter_turns_is_numpys_rot90(size, quarters):
    image = noise(size, size).astype(np.float32)
    rotated = rotate(tf.constant(image), tf.constant(quarters / 4), "nearest")
    np.testing.assert_allclose(rotated, np.rot90(image, quarters), atol=0.05)


@pytest.mark.parametrize("fill", SCIPY_MODES)
@pytest.mark.parametrize("move", ["rotate", "translate", "zoom"])
def test_moves_agree_with_scipy_in_every_fill_mode(move, fill):
    image = noise().astype(np.float32)
    centre = np.full(2, (RESOLUTION - 1) / 2)
    matrix, offset = np.eye(2), np.zeros(2)
    if move == "rotate":
        moved = rotate(tf.constant(image), tf.constant(0.1), fill)
        cosine, sine = math.cos(0.2 * math.pi), math.sin(0.2 * math.pi)
        matrix = np.array([[cosine, sine], [-sine, cosine]])  # rows and columns, from the result to the image
    elif move == "translate":
        moved = translate(tf.constant(image), tf.constant(-3.25), tf.constant(5.5), fill)
        offset = np.array([3.25, -5.5])
    else:
        moved = zoom(tf.constant(image), tf.constant(0.6), fill)
        matrix = np.eye(2) / 0.6
    offset = offset + centre - matrix @ centre
    expected = [
        ndimage.affine_transform(image[..., channel], matrix, offset, order=1, mode=SCIPY_MODES[fill])
        for channel in range(3)
    ]
    np.testing.assert_allclose(moved, np.stack(expected, axis=-1), atol=0.05)


def test_random_rotation_stays_within_its_factor_and_goes_both_ways():
    image, centre = one_bright_pixel(12, 20), (RESOLUTION - 1) / 2
    operation = {"name": "random_rotation", "factor": 0.1, "fill": "constant"}
    results = over_seeds(lambda seed: augment(tf.constant(image), seed, parse(operation)), 200)[..., 0]
    rows, columns = (_centroids(results) - centre).T
    turns = (np.arctan2(-rows, columns) - math.atan2(centre - 12, 20 - centre)) / math.tau  # rows count downwards
    assert np.abs(turns).max() <= 0.1 + 0.01
    assert turns.min() < -0.08
    assert turns.max() > 0.08


def test_translation_moves_a_pixel_down_and_right():
    moved = translate(tf.constant(one_bright_pixel(5, 7)), tf.constant(4.0), tf.constant(2.0), "constant")
    np.testing.assert_array_equal(moved, one_bright_pixel(9, 9))


def test_translation_by_half_a_pixel_shares_it_between_two():
    moved = translate(tf.constant(one_bright_pixel(5, 7)), tf.constant(0.0), tf.constant(-0.5), "constant")
    np.testing.assert_allclose(moved, (one_bright_pixel(5, 6) + one_bright_pixel(5, 7)) / 2)


@pytest.mark.parametrize(("height", "width"), [(0.25, 0.0), (0.0, 0.25), (0.25, 0.1)])
def test_random_translation_moves_by_up_to_its_shares_of_height_and_width(height, width):
    image = one_bright_pixel(12, 12)
    operation = {"name": "random_translation", "height": height, "width": width, "fill": "constant"}
    results = over_seeds(lambda seed: augment(tf.constant(image), seed, parse(operation)), 200)[..., 0]
    moves = _centroids(results) - 12
    for axis, share in enumerate((height, width)):
        limit = share * RESOLUTION
        assert np.abs(moves[:, axis]).max() <= limit + 1e-3
        assert moves[:, axis].min() <= -0.9 * limit
        assert moves[:, axis].max() >= 0.9 * limit
    if height and width:
        assert abs(np.corrcoef(moves.T)[0, 1]) < 0.3  # drawn on their own


@pytest.mark.parametrize("fill", ["reflect", "nearest"])
def test_zoom_of_a_constant_image_is_constant(fill):
    image = tf.fill([RESOLUTION, RESOLUTION, 3], 77.0)
    operation = {"name": "random_zoom", "factor": 0.9, "fill": fill}
    np.testing.assert_allclose(over_seeds(lambda seed: augment(image, seed, parse(operation)), 50), 77.0, atol=1e-3)


def test_random_zoom_enlarges_and_shrinks_by_up_to_its_factor():
    image = np.zeros((RESOLUTION, RESOLUTION, 3), np.float32)
    image[8:16, 8:16] = 255
    operation = {"name": "random_zoom", "factor": 0.5, "fill": "constant"}
    results = over_seeds(lambda seed: augment(tf.constant(image), seed, parse(operation)), 200)[..., 0]
    sides = np.sqrt(results.sum(axis=(1, 2)) / 255) / 8  # side of the square by its side before
    assert 0.45 < sides.min() < 0.6
    assert 1.4 < sides.max() < 1.55


def test_contrast_keeps_each_channels_mean_and_scales_its_spread():
    image = noise(low=100, high=150).astype(np.float32)
    image[..., 0] += 20
    operation = {"name": "random_contrast", "factor": 0.5}  # 95 to 175 at most: nothing is clipped
    results = over_seeds(lambda seed: augment(tf.constant(image), seed, parse(operation)), 200)
    means, spreads = results.mean(axis=(1, 2)), results.std(axis=(1, 2)) / image.std(axis=(0, 1))
    np.testing.assert_allclose(means, np.broadcast_to(image.mean(axis=(0, 1)), means.shape), atol=0.01)
    np.testing.assert_allclose(spreads, np.broadcast_to(spreads[:, :1], spreads.shape), atol=1e-3)
    assert 0.5 <= spreads.min() < 0.55
    assert 1.45 < spreads.max() <= 1.501


# ------------------------------------------------------------------------------------------------------ the random crop


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    seed=st.tuples(*2 * [st.integers(-(2**31), 2**31 - 1)]),
    areas=st.tuples(*2 * [st.floats(0.01, 1)]).map(sorted),
    aspect_ratios=st.tuples(*2 * [st.floats(0.2, 5)]).map(sorted),
)
@settings(max_examples=150, deadline=None)
def test_crop_lies_inside_the_image_and_is_never_empty(height, width, seed, areas, aspect_ratios):
    operation = RandomResizedCrop(name="random_resized_crop", area=tuple(areas), aspect_ratio=tuple(aspect_ratios))
    top, left, box_height, box_width = random_box(height, width, tf.constant(seed), operation).numpy()
    assert top >= 0
    assert left >= 0
    assert box_height >= 1
    assert box_width >= 1
    assert top + box_height <= height
    assert left + box_width <= width


@given(
    side=st.integers(20, 500),
    seed=st.tuples(*2 * [st.integers(-(2**31), 2**31 - 1)]),
    areas=st.tuples(*2 * [st.floats(0.02, 0.7)]).map(sorted),
    aspect_ratios=st.tuples(*2 * [st.floats(0.75, 1.35)]).map(sorted),
)
@settings(max_examples=150, deadline=None)
def test_crops_area_and_aspect_ratio_are_in_their_ranges(side, seed, areas, aspect_ratios):
    # Every box of these ranges lies inside a square, so the fallback has no part in it: 0.7 · 1.35 < 1.
    operation = RandomResizedCrop(name="random_resized_crop", area=tuple(areas), aspect_ratio=tuple(aspect_ratios))
    _, _, height, width = random_box(side, side, tf.constant(seed), operation).numpy()
    half = 0.5 + 1e-3  # of a pixel, from rounding each side
    assert (height - half) * (width - half) <= areas[1] * side**2
    assert (height + half) * (width + half) >= areas[0] * side**2
    assert (width - half) / (height + half) <= aspect_ratios[1]
    assert (width + half) / (height - half) >= aspect_ratios[0]


def test_crops_area_is_uniform_its_aspect_ratio_log_uniform_and_its_place_anywhere():
    operation = RandomResizedCrop(name="random_resized_crop", area=(0.1, 0.3), aspect_ratio=(0.5, 2.0))
    top, left, height, width = over_seeds(lambda seed: random_box(1000, 1000, seed, operation), 2000).T
    areas, logarithms = height * width / 1e6, np.log(width / height)
    for values, low, high in ((areas, 0.1, 0.3), (logarithms, -math.log(2), math.log(2))):
        shares = np.histogram(values, bins=4, range=(low, high))[0] / 2000
        np.testing.assert_allclose(shares, 0.25, atol=0.05)
    for place, side in ((top, height), (left, width)):
        shares = np.histogram(place / (1000 - side), bins=4, range=(0, 1))[0] / 2000
        np.testing.assert_allclose(shares, 0.25, atol=0.05)


def test_crop_reaches_every_place_and_the_last_row_too():
    operation = RandomResizedCrop(name="random_resized_crop", area=(0.25, 0.25), aspect_ratio=(1.0, 1.0))
    boxes = over_seeds(lambda seed: random_box(4, 4, seed, operation), 300)
    assert {tuple(box) for box in boxes} == {(top, left, 2, 2) for top in range(3) for left in range(3)}


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (10, 1000, (0, 493, 10, 13)),  # 13 = round(10 · 4/3), 493 = (1000 - 13) // 2
        (1000, 10, (493, 0, 13, 10)),  # 13 = round(10 / (3/4))
        (1, 300, (0, 149, 1, 1)),
    ],
)
def test_crop_that_never_fits_falls_back_to_the_central_one(height, width, box):
    assert np.all(over_seeds(lambda seed: random_box(height, width, seed, CROP), 20) == box)


def test_crop_falls_back_to_the_whole_image_where_its_aspect_ratio_is_allowed():
    operation = RandomResizedCrop(name="random_resized_crop", area=(1.0, 1.0), aspect_ratio=(0.5, 2.0))
    boxes = over_seeds(lambda seed: random_box(101, 97, seed, operation), 20)
    assert np.all(boxes == (0, 0, 101, 97))


def test_crop_of_everything_is_the_image_resized():
    image = noise(31, 31)
    whole = RandomResizedCrop(name="random_resized_crop", area=(1.0, 1.0), aspect_ratio=(1.0, 1.0))
    cropped = random_resized_crop(tf.constant(image), tf.constant([1, 2]), RESOLUTION, whole)
    np.testing.assert_array_equal(cropped, squeeze(tf.constant(image), RESOLUTION))


def test_crop_shows_the_box_that_was_drawn():
    image, seed = noise(50, 70), tf.constant([8, 9])
    top, left, height, width = random_box(50, 70, seed, CROP).numpy()
    expected = squeeze(tf.constant(image[top : top + height, left : left + width]), RESOLUTION)
    np.testing.assert_array_equal(random_resized_crop(tf.constant(image), seed, RESOLUTION, CROP), expected)


# ------------------------------------------------------------------------------------------- from the original image on


@pytest.mark.parametrize("crop", [None, "center_crop", "random_resized_crop"])
def test_training_image_has_the_same_bits_directly_and_in_a_dataset_of_images_of_many_sizes(crop):
    operations = parse(*OPERATIONS.values(), *([{"name": crop}] if crop else []))
    images = [noise(height, width) for height, width in ((30, 50), (200, 21), (1, 1), (24, 24))]
    direct = [
        prepare_training_image(tf.constant(image), tf.constant([index, 3]), RESOLUTION, operations).numpy()
        for index, image in enumerate(images)
    ]

    def generate():
        yield from ((image, [index, 3]) for index, image in enumerate(images))

    kinds = (tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32))
    dataset = tf.data.Dataset.from_generator(generate, output_signature=kinds).map(
        lambda image, seed: prepare_training_image(image, seed, RESOLUTION, operations), num_parallel_calls=4
    )
    assert dataset.element_spec == tf.TensorSpec([RESOLUTION, RESOLUTION, 3], tf.float32)
    for mapped, expected in zip(dataset.as_numpy_iterator(), direct, strict=True):
        assert expected.min() >= 0
        assert expected.max() <= 255
        np.testing.assert_array_equal(mapped, expected)


def test_training_image_without_a_random_crop_is_fitted_as_in_evaluation():
    image = tf.constant(noise(40, 60))
    crop = CenterCrop(name="center_crop", fraction=0.5)
    for operations in ([], [crop]):
        prepared = prepare_training_image(image, tf.constant([0, 1]), RESOLUTION, operations)
        np.testing.assert_array_equal(prepared, fit(image, fit_of(RESOLUTION, operations)))


def test_random_crop_takes_the_place_of_the_central_one_in_training():
    image, crop = tf.constant(noise(40, 60)), CenterCrop(name="center_crop", fraction=0.5)
    seed = tf.constant([0, 1])
    prepared = prepare_training_image(image, seed, RESOLUTION, [CROP, crop])
    np.testing.assert_array_equal(prepared, prepare_training_image(image, seed, RESOLUTION, [CROP]))
    assert np.any(prepared != prepare_training_image(image, seed, RESOLUTION, [crop]))


def test_random_crop_and_flip_are_drawn_anew_for_each_seed():
    image = tf.constant(noise(40, 60))
    operations = [CROP, *parse({"name": "random_flip"})]
    results = over_seeds(lambda seed: prepare_training_image(image, seed, RESOLUTION, operations), 30)
    assert len({result.tobytes() for result in results}) == 30


def _centroids(images):
    """Row and column of each image's centre of mass, (n, 2)."""
    return np.array([ndimage.center_of_mass(image) for image in images])
