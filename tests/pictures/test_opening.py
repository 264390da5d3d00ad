"""What Pillow alone says of an image file agrees with what training makes of it."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.pictures import jpeg
from thaw.tasks.pictures.files import inspect
from thaw.tasks.pictures.opening import BadImageError, check_whole

WHOLE = jpeg(1)


def is_refused(check, encoded: bytes, max_pixels: int = 10**6) -> bool:
    try:
        check(encoded, max_pixels)
    except BadImageError:
        return True
    return False


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_file_that_is_cut_anywhere_is_refused_if_training_refuses_it(length):
    assert is_refused(check_whole, WHOLE[:length]) >= is_refused(inspect, WHOLE[:length])


def test_an_image_that_is_larger_than_allowed_is_refused_by_its_header():
    with pytest.raises(BadImageError, match=r"more than dataset\.max_pixels, 10$"):
        check_whole(WHOLE, 10)
    assert not is_refused(check_whole, WHOLE)
    assert is_refused(check_whole, np.zeros(100, np.uint8).tobytes())


def test_looking_at_a_file_loads_no_tensorflow():
    code = "import sys, thaw.tasks.verdict.must_not_break; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
