"""The pictures: that they show what they are given, that nothing overlaps, and that equal data are equal bytes."""

import itertools

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from PIL import Image

from tests.report.synthetic import make_photo
from thaw.tasks.evaluation.metrics import calibration
from thaw.tasks.report.history import Curve
from thaw.tasks.report.pictures.augmentations import draw_augmentations
from thaw.tasks.report.pictures.confusion import draw_confusion_matrix
from thaw.tasks.report.pictures.curves import draw_learning_curves
from thaw.tasks.report.pictures.reliability import draw_reliability
from thaw.tasks.report.pictures.samples import draw_samples
from thaw.tasks.report.pictures.style import save_picture, shorten, text_width

LONG = "Nova Scotia duck tolling retriever $5 and $6 of the north"
PHOTO = make_photo(0)


def curves(before=0.7):
    one = Curve("stage_one", 0, [(1, 0.6), (2, 0.7)], [(0, 0.5), (1, 0.65), (2, 0.8)])
    two = Curve("stage_two", 2, [(3, 0.8)], [(2, before), (3, 0.9)])
    return [one, two]


def boxes_of(figure, texts):
    FigureCanvasAgg(figure).draw()
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


def points_of(line):
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def assert_apart(boxes):
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_equal_pictures_are_equal_bytes_whatever_the_machines_settings(tmp_path):
    save_picture(tmp_path / "first.png", lambda: draw_learning_curves(curves(), curves(), [2, 1]))
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        save_picture(tmp_path / "second.png", lambda: draw_learning_curves(curves(), curves(), [2, 1]))
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_a_saved_picture_names_no_software_and_no_time(tmp_path):
    save_picture(tmp_path / "picture.png", lambda: draw_samples([("a", [PHOTO])]), photos=True)
    with Image.open(tmp_path / "picture.png") as image:
        assert set(image.info) <= {"dpi"}
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_the_machines_settings_are_left_as_they_were(tmp_path):
    before = dict(matplotlib.rcParams)
    save_picture(tmp_path / "picture.png", lambda: draw_samples([("a", [PHOTO])]))
    assert dict(matplotlib.rcParams) == before


def test_a_name_in_an_unknown_script_or_with_dollar_signs_can_be_drawn(tmp_path):
    rows = [("猫", [PHOTO]), ("$5 to $", [PHOTO]), ("two\nlines\x07", [PHOTO]), ("", [PHOTO])]
    save_picture(tmp_path / "picture.png", lambda: draw_samples(rows), photos=True)
    matrix = np.eye(4, dtype=int).tolist()
    save_picture(tmp_path / "matrix.png", lambda: draw_confusion_matrix(matrix, [name for name, _ in rows]))


@pytest.mark.parametrize(
    ("name", "expected"), [("cat", "cat"), ("", ""), ("red  \n cat\x07", "red cat"), ("  owl ", "owl")]
)
def test_a_name_that_fits_is_only_brought_to_one_line(name, expected):
    assert shorten(name, 2, 10) == expected


@pytest.mark.parametrize("name", ["a" * 300, "W" * 60, "i" * 90, LONG, "word " * 20, "猫" * 60])
@pytest.mark.parametrize("inches", [0.4, 1.1, 2.0])
@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
def test_a_name_that_is_too_wide_is_cut_as_little_as_needed(name, inches):
    short = shorten(name, inches, 10)
    kept = short.removesuffix("…")
    assert short.endswith("…")
    assert name.startswith(kept)
    assert text_width(short, 10) <= inches
    next_character = name[len(kept) :].lstrip()[0]  # a space before the ellipsis is left out
    assert text_width(f"{kept} {next_character}…", 10) > inches


@pytest.mark.parametrize("classes", [1, 2, 5, 10])
def test_samples_have_a_row_for_each_class_with_its_name(classes):
    names = [f"{number} {LONG}" for number in range(classes)]
    figure = draw_samples([(name, [PHOTO] * (1 + row % 3)) for row, name in enumerate(names)])
    assert [text.get_text()[:6] for text in figure.texts] == [name[:6] for name in names]
    assert len(figure.axes) == sum(1 + row % 3 for row in range(classes))
    names_end = max(box.x1 for box in boxes_of(figure, figure.texts))
    assert names_end < min(axes.get_window_extent().x0 for axes in figure.axes)
    assert min(box.x0 for box in boxes_of(figure, figure.texts)) >= 0


def test_augmentations_are_shown_beside_the_image_itself():
    versions = [make_photo(seed, 32, 32) for seed in range(9)]
    figure = draw_augmentations(PHOTO, versions)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    for expected, array in zip([PHOTO, *versions], shown, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_stage_two_starts_at_the_line_with_its_value_before_the_first_step():
    figure = draw_learning_curves(curves(before=0.3), curves(before=0.3), [2, 1])
    for panel in figure.axes:
        verticals = [line for line in panel.lines if points_of(line)[0] == [2, 2] and line.get_linestyle() == ":"]
        assert len(verticals) == 1
        validation_two = next(line for line in panel.lines if points_of(line)[0] == [2, 3])
        assert points_of(validation_two)[1] == [0.3, 0.9]
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert labels == ["stage two starts"]


def test_kept_epochs_are_ringed_at_their_validation_value():
    figure = draw_learning_curves(curves(), curves(), [1, 1])
    rings = [np.column_stack(points_of(line)).tolist() for line in figure.axes[0].lines if line.get_markersize() == 10]
    assert rings == [[[1.0, 0.65]], [[3.0, 0.9]]]


@pytest.mark.parametrize("classes", [2, 3, 10, 20, 21, 37, 120])
def test_confusion_matrix_is_readable_at_any_number_of_classes(classes):
    names = [f"{number} {LONG}" for number in range(classes)]
    matrix = np.eye(classes, dtype=int) * 80
    matrix[0, 1] = 12345
    with matplotlib.style.context("default"):
        figure = draw_confusion_matrix(matrix.tolist(), names)
        axes = figure.axes[0]
        assert_apart(boxes_of(figure, axes.get_yticklabels()))
    numbers = [text.get_text() for text in axes.texts]
    assert numbers == (["80", "12,345", *["80"] * (classes - 1)] if classes <= 20 else [])
    assert len(axes.get_xticklabels()) <= 30
    assert axes.get_yticklabels()[0].get_text().startswith("0 Nova")


def test_short_names_of_few_classes_stand_level_and_apart():
    figure = draw_confusion_matrix(np.eye(10, dtype=int).tolist(), [str(number) for number in range(10)])
    labels = figure.axes[0].get_xticklabels()
    assert_apart(boxes_of(figure, labels))
    assert {label.get_rotation() for label in labels} == {0}


def test_a_class_without_images_leaves_its_row_empty():
    figure = draw_confusion_matrix([[3, 1], [0, 0]], ["a", "b"])
    np.testing.assert_allclose(np.asarray(figure.axes[0].images[0].get_array()), np.array([[0.75, 0.25], [0, 0]]))


def test_reliability_has_a_point_for_each_bin_that_has_images():
    bins = calibration(np.array([0.95, 0.97, 0.5]), np.array([True, False, True]), 0.95)
    before = calibration(np.array([0.99, 0.99, 0.7]), np.array([True, False, True]), 0.95)
    figure = draw_reliability(bins, before, 0.95)
    points = [np.column_stack(points_of(line))[0].tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    rings = [[0.7, 1.0], [0.99, 0.5]]
    assert points == pytest.approx(np.array([*rings, [0.5, 1.0], [0.96, 0.5]]))
    assert [bar.get_bbox().height for bar in figure.axes[1].patches if isinstance(bar, Rectangle)] == [
        *[0] * 7,
        1,
        *[0] * 6,
        2,
    ]


def test_tiny_images_keep_their_pixels_sharp_and_stay_whole():
    figure = draw_samples([("0", [np.zeros((8, 6, 3), np.uint8)]), ("1", [make_photo(0, 100, 90)])])
    tiny, photo = figure.axes
    assert tiny.images[0].get_interpolation() == "nearest"
    assert photo.images[0].get_interpolation() != "nearest"
    assert (tiny.get_xlim(), tiny.get_ylim()) == ((-1.5, 6.5), (7.5, -0.5))
